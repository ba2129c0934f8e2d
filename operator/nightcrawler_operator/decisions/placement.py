"""Where an execution runs: the first of its candidates that is not cordoned.

Cordoned ones are waited for if no other is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, WorkflowSpec, conditions
from nightcrawler_crds.validation import NONE_CHOSEN
from nightcrawler_operator.decisions.candidates import Candidate, NoPlace, candidates, read_environment


@dataclass(frozen=True, slots=True)
class Place:
    """The chosen Environment: `name` is its metadata.name, or None for this cluster as it is.

    With `any_name` it was chosen because no Environment has the name that was asked for.
    """

    name: str | None
    spec: EnvironmentSpec
    reason: str
    message: str
    any_name: bool = False
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """All candidates are cordoned; `until` is when the first of them opens, if that is known."""

    message: str
    until: datetime | None


def place(
    wanted: str | None, workflow: WorkflowSpec, environments: Collection[EnvironmentView], now: datetime
) -> Place | Later | NoPlace:
    """The place to run, or why there is none."""
    if not environments:
        if not wanted and workflow.environments == []:
            message = f"{NONE_CHOSEN}; name one for the run, or give the workflow one"
            return NoPlace(conditions.NO_ENVIRONMENT, message)
        # Without Environments any name is taken: an installation may do without them.
        return Place(
            wanted or next(iter(workflow.environments or ()), None),
            EnvironmentSpec(),
            conditions.THIS_CLUSTER,
            "there are no Environments: it runs in this cluster",
        )
    found = candidates(wanted, workflow, environments)
    if isinstance(found, NoPlace):
        return found
    open_ = [candidate for candidate in found if candidate.cordon(now) is None]
    if not open_:
        return _later(found, now)
    chosen = open_[0]
    why = chosen.source
    if chosen is not found[0]:
        passed = ", ".join(c.name for c in found[: found.index(chosen)])
        why = f"{why}; passed over, because cordoned: {passed}"
    return Place(
        chosen.name,
        chosen.spec,
        conditions.CHOSEN,
        f"runs in {chosen.name}: {why}",
        chosen.any_name,
        chosen,
    )


def _later(found: Sequence[Candidate], now: datetime) -> Later:
    closed = [(candidate.name, cordon) for candidate in found if (cordon := candidate.cordon(now))]
    ends = [cordon.until for _, cordon in closed if cordon.until is not None]
    whys = "; ".join(f"{name}: {cordon.why}" for name, cordon in closed)
    which = "its environment" if len(closed) == 1 else "one of its environments"
    return Later(f"waits for {which} to be opened ({whys})", min(ends, default=None))


def depends_on_absence(chosen: Place | Later | NoPlace) -> bool:
    """Whether the choice depends on an Environment being absent, so that a stale cache would matter.

    A run that names none and finds none runs in this cluster at once: most installations have none, and only
    the very first one could be missed.
    """
    if not isinstance(chosen, Place):
        return isinstance(chosen, NoPlace)
    return chosen.any_name or (chosen.reason == conditions.THIS_CLUSTER and chosen.name is not None)


def recorded_place(name: str | None, environments: Collection[EnvironmentView]) -> EnvironmentSpec:
    """The current spec of the Environment that a run was placed in; an empty one if it is gone."""
    found = next((e for e in environments if e.metadata.name == name), None)
    return read_environment(found) if found else EnvironmentSpec()


def lost_place(
    name: str | None, recorded: Iterable[Condition], environments: Collection[EnvironmentView]
) -> str | None:
    """The name of the Environment that a run was placed in, if it is gone: no other may be used."""
    chosen = any(c.type == conditions.PLACED and c.reason == conditions.CHOSEN for c in recorded)
    gone = chosen and all(e.metadata.name != name for e in environments)
    return name if gone else None
