"""What keeps the Job of an attempt from being created although it is due."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.planning.resolved import ResolvedStep, resolve
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions import refusals
from nightcrawler_operator.decisions.context import StepContext


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a Job is not created now. `ask_again` is when a refused request is repeated.

    `show_at` is when the wait is long enough to be recorded; None for at once.
    """

    reason: str
    message: str
    ask_again: datetime | None = None
    show_at: datetime | None = None


def what_blocks(ctx: StepContext, name: str) -> StepStatusView | Blocked | None:
    """What keeps the Job of this name from being created now, or the end of its step."""
    return (
        _refused(ctx, name)
        or _environment_gone(ctx)
        or _cordoned(ctx)
        or _no_such_gpu(ctx)
        or _volume_refused(ctx)
    )


def _environment_gone(ctx: StepContext) -> Blocked | None:
    lost = ctx.run.lost_environment
    if lost is None:
        return None
    message = f"waits for the Environment {lost!r}, in which the run began and which is gone"
    return Blocked(conditions.UNKNOWN_ENVIRONMENT, message)


def _cordoned(ctx: StepContext) -> Blocked | None:
    if ctx.cordon is None:
        return None
    place = ctx.snapshot.execution.status.environment
    message = f"waits for the environment {place!r}: {ctx.cordon.why}"
    return Blocked(conditions.STEP_CORDONED, message, ctx.cordon.until)


def _refused(ctx: StepContext, name: str) -> StepStatusView | Blocked | None:
    """The API server refused this Job: for good, or until the request is repeated."""
    return _by_refusal(ctx, name, "its Job")


def _volume_refused(ctx: StepContext) -> StepStatusView | Blocked | None:
    """It refused the claim of the run's volume, without which no Job is created."""
    volume = ctx.run.volume
    return None if volume is None else _by_refusal(ctx, volume.claim, "the volume of its run")


def _by_refusal(ctx: StepContext, name: str, what: str) -> StepStatusView | Blocked | None:
    refusal = ctx.snapshot.refusals.get(name)
    if refusal is None:
        return None
    limits = ctx.snapshot.limits
    if refusals.is_final(refusal, ctx.now, limits):
        return ended_without_job(ctx, refusal.reason, f"cannot be run: {refusal.message}")
    if refusal.ask_again is None or ctx.now >= refusal.ask_again:
        return None
    message = f"waits, {what} is refused: {refusal.message}"
    return Blocked(refusal.reason, message, refusal.ask_again, refusals.show_at(refusal, limits))


def _no_such_gpu(ctx: StepContext) -> Blocked | None:
    """No node has the GPU that it asks for, or that another step asks for on the node of their volume."""
    products = ctx.snapshot.nodes.gpu_products
    there = ", ".join(sorted(products)) or "none"
    if _lacks_gpu(ctx.resolved, products):
        gpu = ctx.resolved.resources.gpu
        message = f"waits for a node with the GPU it asks for, {gpu!r}; those there are: {there}"
        return Blocked(conditions.STEP_NO_SUCH_GPU, message)
    volume, run = ctx.run.volume, ctx.run
    if volume is None or volume.bound or not volume.on_one_node:
        return None
    for other in run.revision.steps.values():
        resolved = resolve(other, run.revision, run.environment, ctx.snapshot.limits)
        if _lacks_gpu(resolved, products):
            message = (
                f"waits for a node with the GPU that the step {other.name!r} asks for, "
                f"{resolved.resources.gpu!r}, because they share a volume; those there are: {there}"
            )
            return Blocked(conditions.STEP_NO_SUCH_GPU, message)
    return None


def _lacks_gpu(resolved: ResolvedStep, products: Collection[str]) -> bool:
    gpus = resolved.gpus(products)
    return gpus is not None and gpus.products is not None and not gpus.products


def ended_without_job(ctx: StepContext, reason: str, message: str) -> StepStatusView:
    """The end of a step whose Job cannot be created."""
    return StepStatusView(
        phase="Failed", completion_time=ctx.now, reason=reason, message=ctx.sentence(message)
    )
