"""What keeps the Job of an attempt from being made although its turn has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.v1alpha1 import Step, conditions
from nightcrawler_operator.decisions import refusals
from nightcrawler_operator.decisions.status import sentence
from nightcrawler_operator.plan import Run
from nightcrawler_operator.resources import effective_resources, wanted_gpus
from nightcrawler_operator.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a Job is not made now; a refusal has a moment at which to ask again. Short ones are not shown."""

    reason: str
    message: str
    ask_again: datetime | None = None
    show_at: datetime | None = None


def what_blocks(step: Step, name: str, run: Run, snapshot: Snapshot) -> StepStatusView | Blocked | None:
    """What keeps a Job from being made now, or the step's end."""
    return _refused(step, name, snapshot) or _no_such_place(run) or _no_such_gpu(step, run, snapshot)


def _no_such_place(run: Run) -> Blocked | None:
    if run.lost_environment is None:
        return None
    message = f"waits for the Environment {run.lost_environment!r}, in which the run began and which is gone"
    return Blocked(conditions.UNKNOWN_ENVIRONMENT, message)


def _refused(step: Step, name: str, snapshot: Snapshot) -> StepStatusView | Blocked | None:
    """The API server's refusal of this Job: for good, or until it is asked again."""
    refusal = snapshot.refusals.get(name)
    if refusal is None:
        return None
    if refusals.is_final(refusal, snapshot.now, snapshot.limits):
        return ended_without_job(step, refusal.reason, f"cannot be run: {refusal.message}", snapshot)
    if refusal.ask_again is None or snapshot.now >= refusal.ask_again:
        return None
    message = f"waits, for its Job is not taken: {refusal.message}"
    show_at = refusals.show_at(refusal, snapshot.limits)
    return Blocked(refusal.reason, message, refusal.ask_again, show_at)


def _no_such_gpu(step: Step, run: Run, snapshot: Snapshot) -> Blocked | None:
    gpu = effective_resources(step, run.revision.spec).gpu
    wanted = wanted_gpus(gpu, snapshot.nodes.gpu_products)
    if wanted is None or wanted.products is None or wanted.products:
        return None
    there = ", ".join(sorted(snapshot.nodes.gpu_products)) or "none"
    message = f"waits for a node with the GPU it asks for, {gpu!r}; those there are: {there}"
    return Blocked(conditions.STEP_NO_SUCH_GPU, message)


def ended_without_job(step: Step, reason: str, message: str, snapshot: Snapshot) -> StepStatusView:
    """The end of a step of which no Job can be made."""
    return StepStatusView(
        phase="Failed",
        completion_time=snapshot.now,
        reason=reason,
        message=sentence(step.name, message),
    )
