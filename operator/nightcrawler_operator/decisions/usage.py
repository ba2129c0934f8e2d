"""What a step used, in percent of what it asked for, and a run by what its steps used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from nightcrawler_crds.building.run import Run
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.views import ResourceUsageView, StepStatusView, UsageOfView, UsageView
from nightcrawler_crds.planning.resolved import ResolvedStep
from nightcrawler_operator.decisions.context import StepContext
from nightcrawler_operator.snapshot import Figure, Measured, Snapshot

_PERCENT = 100.0


def step_usage(ctx: StepContext, attempt: int) -> UsageView | None:
    """What an attempt used of what it asked for, else of its node; None if nothing was measured."""
    usage = ctx.snapshot.usage
    if not usage:
        return None
    for pod in ctx.attempt(attempt).pods:
        if (measured := usage.get(pod.metadata.uid)) is not None:
            return _of(measured, _amounts(ctx.resolved, ctx.snapshot, pod))
    return None


def with_usage(
    steps: Mapping[str, StepStatusView], snapshot: Snapshot, run: Run
) -> dict[str, StepStatusView]:
    """Steps with what those used that were ended with the run."""
    if not snapshot.usage:
        return dict(steps)
    found = dict(steps)
    for name, status in steps.items():
        step = run.revision.steps.get(name)
        if step is None or status.usage is not None or not status.attempt:
            continue
        usage = step_usage(StepContext(step, status, run, snapshot), status.attempt)
        if usage is not None:
            found[name] = msgspec.structs.replace(status, usage=usage)
    return found


def run_usage(steps: Mapping[str, StepStatusView], snapshot: Snapshot, run: Run) -> ResourceUsageView | None:
    """What a run used: the averages of its steps, weighed by how long each ran and how much it asked for."""
    weights: dict[str, list[tuple[float, float]]] = {"cpu": [], "memory": [], "gpu": []}
    for name, status in steps.items():
        step = run.revision.steps.get(name)
        if step is None or status.usage is None:
            continue
        ctx = StepContext(step, status, run, snapshot)
        amounts = _amounts(ctx.resolved, snapshot, *ctx.attempt(status.attempt).pods)
        seconds = _seconds(status)
        for what, figures in weights.items():
            figure: UsageOfView | None = getattr(status.usage, what)
            if figure is not None:
                figures.append((float(figure.average), seconds * amounts.get(what, 1.0)))
    found = {what: _mean(figures) for what, figures in weights.items()}
    if all(value is None for value in found.values()):
        return None
    return ResourceUsageView(**found)


def _amounts(resolved: ResolvedStep, snapshot: Snapshot, *pods: PodView) -> dict[str, float]:
    """Cores, bytes and GPUs that a step asked for, else those of its node; without those that are unknown."""
    cpu, _ = resolved.cpu
    memory = resolved.memory
    gpus = resolved.gpus(snapshot.nodes.gpu_products)
    found: dict[str, float] = {}
    if cpu is not None:
        found["cpu"] = cpu.millicores / 1000
    if memory is not None:
        found["memory"] = float(memory.count)
    if gpus is not None:
        found["gpu"] = float(gpus.count)
    if not {"cpu", "memory"} <= found.keys():
        nodes = {pod.spec.node_name for pod in pods}
        room = next((room.allocatable for room in snapshot.nodes.rooms if room.name in nodes), {})
        found = {what: room[what] for what in ("cpu", "memory") if room.get(what)} | found
    return found


def _of(measured: Measured, amounts: Mapping[str, float]) -> UsageView | None:
    usage = UsageView(
        cpu=_share(measured.cpu, amounts.get("cpu")),
        memory=_share(measured.memory, amounts.get("memory")),
        gpu=_share(measured.gpu, _PERCENT),
    )
    return None if usage == UsageView() else usage


def _share(figure: Figure | None, amount: float | None) -> UsageOfView | None:
    if figure is None or not amount:
        return None
    return UsageOfView(
        average=round(figure.average / amount * _PERCENT), peak=round(figure.peak / amount * _PERCENT)
    )


def _seconds(status: StepStatusView) -> float:
    if status.start_time is None or status.completion_time is None:
        return 1.0
    return max(1.0, (status.completion_time - status.start_time).total_seconds())


def _mean(figures: Iterable[tuple[float, float]]) -> int | None:
    there = list(figures)
    weight = sum(weight for _, weight in there)
    return round(sum(value * weight for value, weight in there) / weight) if weight else None
