"""Where an execution runs: the first candidate that is not cordoned, or the one that a strategy chooses.

Cordoned ones are waited for if no other is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import EnvironmentView, PlacementView
from nightcrawler_crds.planning.candidates import (
    Candidate,
    NoPlace,
    candidates,
    read_environment,
)
from nightcrawler_crds.planning.choice import Appraisal, choose, comparable, objection, why
from nightcrawler_crds.planning.cost import expected_cost
from nightcrawler_crds.planning.duration import Past, expected_duration
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.planning.objections import objections
from nightcrawler_crds.planning.onenode import contradiction
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import is_on_one_node
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_crds.v1alpha1.workflow import EnvironmentStrategy
from nightcrawler_crds.validation import NONE_CHOSEN
from nightcrawler_operator.claims import Place
from nightcrawler_operator.decisions.status import MAX_MESSAGE
from nightcrawler_operator.decisions.wait import expected_wait
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Outlook

_MOST_OBJECTIONS: Final = 5
_MOST_SHOWN: Final = 64
_LONGEST: Final = 1024
"""What the status takes: candidates, and characters of why one was passed over."""
_OF_ABSENCE: Final = (conditions.NO_ENVIRONMENT, conditions.UNKNOWN_ENVIRONMENT)


@dataclass(frozen=True, slots=True)
class Later:
    """All candidates are cordoned; `until` is when the first of them opens, if that is known."""

    message: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class LookUpPastRuns:
    """A strategy needs to know how long the runs of the workflow took."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a placement depends on besides what the run asks for."""

    environments: Collection[EnvironmentView]
    nodes: Nodes
    limits: Limits
    now: datetime
    outlook: Outlook | None = None
    begun_in: str | None = None
    """The Environment in which the run has Jobs already, which are not recorded yet."""


def place(
    wanted: str | None, revision: Revision, given: Circumstances
) -> Place | Later | NoPlace | LookUpPastRuns:
    """The place to run, or why there is none."""
    workflow, environments = revision.spec, given.environments
    if not environments:
        if not wanted and workflow.environments == []:
            message = f"{NONE_CHOSEN}; name one for the run, or give the workflow one"
            return NoPlace(conditions.NO_ENVIRONMENT, message)
        # Without Environments any name is taken: an installation may do without them.
        nowhere, limits = EnvironmentSpec(), given.limits
        if is_on_one_node(workflow, nowhere, limits) and (
            sentence := contradiction(revision, nowhere, limits, given.nodes)
        ):
            return NoPlace(conditions.NO_COMMON_NODE, sentence)
        return Place(
            wanted or next(iter(workflow.environments or ()), None),
            nowhere,
            conditions.THIS_CLUSTER,
            "there are no Environments: it runs in this cluster",
        )
    begun = next((e for e in environments if e.metadata.name == given.begun_in), None)
    if begun is not None:
        candidate = Candidate(begun.metadata.name, begun, "its first Jobs were created there")
        return _chosen(candidate, candidate.source)
    found = candidates(wanted, workflow, environments)
    if isinstance(found, NoPlace):
        return found
    if workflow.environment_strategy is not None and len(found) > 1:
        return _by_strategy(workflow.environment_strategy, found, revision, given)
    return _first_open(found, revision, given)


def _first_open(
    found: Sequence[Candidate], revision: Revision, given: Circumstances
) -> Place | Later | NoPlace:
    open_ = [candidate for candidate in found if candidate.cordon(given.now) is None]
    if not open_:
        return _later(found, given.now)
    chosen = open_[0]
    objected = list(islice(objections(chosen, revision, given.nodes, given.limits), _MOST_OBJECTIONS))
    if objected:
        return NoPlace(objected[0].reason, "; ".join(one.message for one in objected))
    why = chosen.source
    if chosen is not found[0]:
        passed = ", ".join(c.name for c in found[: found.index(chosen)])
        why = f"{why}; passed over, because cordoned: {passed}"
    return _chosen(chosen, why)


def _by_strategy(
    strategy: EnvironmentStrategy, found: Sequence[Candidate], revision: Revision, given: Circumstances
) -> Place | Later | NoPlace | LookUpPastRuns:
    outlook = given.outlook or Outlook()
    if outlook.past is None:
        return LookUpPastRuns()
    objected = {
        candidate.name: next(objections(candidate, revision, given.nodes, given.limits), None)
        for candidate in found
    }
    there = comparable(
        strategy, [_appraised(one, found, objected[one.name], revision, outlook, given) for one in found]
    )
    best = choose(strategy, there)
    if best is None:
        closed = [one for one in found if objected[one.name] is None and one.cordon(given.now)]
        first = next(refused for refused in objected.values() if refused) if not closed else None
        return first or _later(closed, given.now)
    (chosen,) = [candidate for candidate in found if candidate.name == best.name]
    # The chosen one first, if the status cannot have all of them.
    shown = sorted(there, key=lambda one: one is not best)[:_MOST_SHOWN]
    placement = tuple(
        PlacementView(
            environment=one.name,
            wait=_rounded(one, one.wait),
            duration=_rounded(one, one.duration),
            cost=_rounded(one, one.cost, 4),
            currency=one.currency,
            passed_over=_short(objection(strategy, best, one)),
        )
        for one in shown
    )
    return replace(_chosen(chosen, ""), message=why(strategy, best, there), placement=placement)


def _short(sentence: str | None) -> str | None:
    return sentence and sentence[:_LONGEST]


def _rounded(one: Appraisal, number: float, digits: int = 0) -> float | None:
    """A number for the status; None for a candidate that could not be appraised."""
    return round(number, digits) if one.appraised else None


def _appraised(
    one: Candidate,
    found: Sequence[Candidate],
    refused: NoPlace | None,
    revision: Revision,
    outlook: Outlook,
    given: Circumstances,
) -> Appraisal:
    """The numbers of a candidate; none for one in which the run could not run."""
    if refused is not None:
        return Appraisal(one.name, passed_over=refused.message, appraised=False)
    specs = {candidate.name: candidate.spec for candidate in found}
    duration = expected_duration(one.name, specs, outlook.past or Past(), revision, given.limits)
    closed = one.cordon(given.now)
    return Appraisal(
        one.name,
        expected_wait(one.name, one.spec, revision, outlook, given.nodes, given.limits, duration, given.now),
        duration,
        expected_cost(revision, one.spec, duration, given.nodes.gpu_products, given.limits),
        one.spec.prices.currency if one.spec.prices else None,
        closed.why if closed else None,
    )


def _chosen(candidate: Candidate, why: str) -> Place:
    message = f"runs in {candidate.name}: {why}"
    return Place(candidate.name, candidate.spec, conditions.CHOSEN, message, any_name=candidate.any_name)


def _later(found: Sequence[Candidate], now: datetime) -> Later:
    closed = [(candidate.name, cordon) for candidate in found if (cordon := candidate.cordon(now))]
    ends = [cordon.until for _, cordon in closed if cordon.until is not None]
    whys = "; ".join(f"{name}: {cordon.why}" for name, cordon in closed)
    which = "its environment" if len(closed) == 1 else "one of its environments"
    return Later(f"waits for {which} to be opened ({whys})"[:MAX_MESSAGE], min(ends, default=None))


def depends_on_absence(chosen: Place | Later | NoPlace | LookUpPastRuns) -> bool:
    """Whether the choice depends on an Environment being absent, so that a stale cache would matter.

    A run that names none and finds none runs in this cluster at once: most installations have none, and only
    the very first one could be missed.
    """
    if not isinstance(chosen, Place):
        return isinstance(chosen, NoPlace) and chosen.reason in _OF_ABSENCE
    return chosen.any_name or (chosen.reason == conditions.THIS_CLUSTER and chosen.name is not None)


def recorded_place(name: str | None, environments: Collection[EnvironmentView]) -> EnvironmentSpec:
    """The current spec of the Environment that a run was placed in; an empty one if it is gone."""
    found = next((e for e in environments if e.metadata.name == name), None)
    return read_environment(found) if found else EnvironmentSpec()


def lost_place(
    name: str | None, recorded: Iterable[Condition], environments: Collection[EnvironmentView]
) -> str | None:
    """The name of the Environment that a run was placed in, if it is gone: no other may be used."""
    gone = placed_by_choice(recorded) and all(e.metadata.name != name for e in environments)
    return name if gone else None


def placed_by_choice(recorded: Iterable[Condition]) -> bool:
    """Whether a run was placed in an Environment that there was."""
    return any(c.type == conditions.PLACED and c.reason == conditions.CHOSEN for c in recorded)
