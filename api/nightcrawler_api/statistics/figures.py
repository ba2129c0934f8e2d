"""Success rates, durations and waits of executions; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from statistics import fmean

from nightcrawler_api.archive.contract import Figures
from nightcrawler_api.state.runs import Run
from nightcrawler_api.statistics.schemas import Spread, Statistics


def figures_of(run: Run) -> Figures:
    """What statistics need of a cached execution."""
    return Figures(
        run.status,
        run.view.spec.workflow_ref.name,
        run.started,
        None if run.ended is None else run.ended - run.started,
        None if run.view.status.start_time is None else run.started - run.order[0],
    )


def statistics_of(runs: Sequence[Figures]) -> Statistics:
    """The statistics of some executions."""
    counts = {word: sum(run.status == word for run in runs) for word in ("completed", "failed", "cancelled")}
    shown: Statistics = {
        "executions": len(runs),
        "running": len(runs) - sum(counts.values()),
        "completed": counts["completed"],
        "failed": counts["failed"],
        "cancelled": counts["cancelled"],
    }
    if judged := counts["completed"] + counts["failed"]:
        shown["successRate"] = round(counts["completed"] / judged, 4)
    durations = [run.duration for run in runs if run.status == "completed" and run.duration is not None]
    if durations:
        shown["durationSeconds"] = _spread(durations)
    waits = [run.wait for run in runs if run.wait is not None]
    if waits:
        shown["waitSeconds"] = _spread(waits)
    return shown


def grouped(runs: Iterable[Figures], key: Callable[[Figures], str]) -> dict[str, list[Figures]]:
    """Executions by a key, in the order of the keys."""
    found: dict[str, list[Figures]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return dict(sorted(found.items()))


def day_of(run: Figures) -> str:
    """The day on which an execution started, in UTC."""
    return f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%d}"


def workflow_of(run: Figures) -> str:
    """The id of an execution's workflow."""
    return run.workflow


def _spread(seconds: list[float]) -> Spread:
    # Clocks of nodes may differ: a negative duration is none.
    ordered = sorted(max(one, 0.0) for one in seconds)
    return {
        "mean": round(fmean(ordered), 3),
        "median": _percentile(ordered, 0.5),
        "p95": _percentile(ordered, 0.95),
        "max": ordered[-1],
    }


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed: the nearest of them, not one in between."""
    return ordered[max(-(-len(ordered) * int(share * 100) // 100) - 1, 0)]
