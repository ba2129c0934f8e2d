"""What would become of a run: where it would go, what would refuse it, and what it would wait for; pure.

By the rules of the operator, which are shared with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from nightcrawler_crds import errors
from nightcrawler_crds.allocation import Queue
from nightcrawler_crds.building.refused import in_words, meaning
from nightcrawler_crds.building.volume import NO_PROVISIONER
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.planning.candidates import Candidate, NoPlace, candidates
from nightcrawler_crds.planning.nodes import NO_NODES, Nodes
from nightcrawler_crds.planning.objections import objections
from nightcrawler_crds.planning.resolved import StepDefaults, resolve
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import is_on_one_node
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions

_NO_DRY_RUN: Final = "does not support dry run"


@dataclass(slots=True)
class Verdict:
    """What has been found out so far; of what refuses it, and of what it would wait for, the first counts."""

    refused: tuple[str, str] | None = None
    waits: tuple[str, str] | None = None
    not_checked: list[str] = field(default_factory=list)

    def refuse(self, reason: str, message: str) -> None:
        """It would not run."""
        self.refused = self.refused or (reason, message)

    def wait(self, reason: str, message: str) -> None:
        """It would wait."""
        self.waits = self.waits or (reason, message)


@dataclass(frozen=True, slots=True)
class Question:
    """A run that is looked at; `nodes` is None if they are not known."""

    revision: Revision
    wanted: str | None
    environments: Collection[EnvironmentView]
    nodes: Nodes | None
    limits: StepDefaults
    now: datetime

    @property
    def first_steps(self) -> list[str]:
        """The steps that would start at once."""
        return [name for name, before in self.revision.depends.items() if not before]


def suitable_places(asked: Question, verdict: Verdict) -> Sequence[Candidate]:
    """The Environments in which it could run; none if there are none at all, and then any name is taken."""
    if not asked.environments:
        return ()
    found = candidates(asked.wanted, asked.revision.spec, asked.environments)
    if isinstance(found, NoPlace):
        verdict.refuse(found.reason, found.message)
        return ()
    against = {one.name: objection for one in found if (objection := _objection(one, asked))}
    # Without a strategy the first that is open is taken, whatever speaks against it.
    chosen: Sequence[Candidate] = found
    if asked.revision.spec.environment_strategy is None:
        chosen = [one for one in found if one.cordon(asked.now) is None][:1] or found[:1]
    suitable = [one for one in chosen if one.name not in against]
    if not suitable:
        first = against[chosen[0].name]
        verdict.refuse(first.reason, first.message)
    return suitable


def _objection(candidate: Candidate, asked: Question) -> NoPlace | None:
    if asked.nodes is None and candidate.spec.nodes == "Fixed":
        return None  # it is said that nodes were not looked at
    return next(objections(candidate, asked.revision, asked.nodes or NO_NODES, asked.limits), None)


def look_at_place(chosen: Candidate | None, queue: Queue | None, asked: Question, verdict: Verdict) -> None:
    """What it would wait for there: that it is opened, its turn, or GPUs that no node has."""
    closed = chosen.cordon(asked.now) if chosen is not None else None
    if chosen is not None and closed is not None:
        verdict.wait(conditions.CORDONED, f"it would wait for {chosen.name} to be opened: {closed.why}")
    if queue is not None:
        verdict.wait(conditions.QUEUED, f"it would wait for its turn: {queue.sentence}")
    if asked.nodes is None:
        verdict.not_checked.append("whether nodes have what its steps ask for: the facade may not list nodes")
        return
    spec, products = chosen.spec if chosen is not None else EnvironmentSpec(), asked.nodes.gpu_products
    together = is_on_one_node(asked.revision.spec, spec, asked.limits)
    for name in asked.revision.steps if together else asked.first_steps:
        resolved = resolve(asked.revision.steps[name], asked.revision, spec, asked.limits)
        gpus = resolved.gpus(products)
        if gpus is not None and gpus.products == ():
            there = ", ".join(sorted(products)) or "none"
            verdict.wait(
                conditions.STEP_NO_SUCH_GPU,
                f"it would wait for a node with the GPU that the step {name!r} asks for, "
                f"{resolved.resources.gpu!r}; those there are: {there}",
            )


def look_at_volume(storage_class: str | None, verdict: Verdict) -> None:
    """What it would wait for, for the volume of a claim that the API server would take with this class."""
    if storage_class is None:
        message = (
            f"it would wait for the volume of its run, for which {NO_PROVISIONER}; only a PersistentVolume "
            "without a class would do"
        )
        verdict.wait(conditions.STEP_VOLUME, message)
    else:
        verdict.not_checked.append(
            f"whether the StorageClass {storage_class!r} has a volume for it: that shows when it runs"
        )


def look_at_refusal(whose: str, what: str, error: errors.ApiError, verdict: Verdict) -> None:
    """What it means that the API server refuses the Job or Pod of a step, or the volume of the run."""
    reason, final = meaning(error)
    text = in_words(error.message)
    if _NO_DRY_RUN in text:
        verdict.not_checked.append(f"the {what} of {whose}: {text}")
    elif reason == conditions.STEP_MISSING_RIGHTS:
        verdict.not_checked.append(
            f"the {what} of {whose}: the facade may not create any, not even in a dry run"
        )
    elif final:
        verdict.refuse(reason, f"{whose} would fail: its {what} is refused: {text}")
    elif reason == conditions.STEP_QUOTA:
        verdict.wait(reason, f"{whose} would wait: {text}")
    else:
        verdict.wait(reason, f"{whose} would wait, and then fail if nothing changes: {text}")
