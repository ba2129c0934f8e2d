"""What is expected of a run by earlier runs of its workflow; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nightcrawler_api.state.statuses import ended, started
from nightcrawler_crds.allocation import Queue
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.planning.duration import Past

RUNS_CONSIDERED: Final = 20
"""Number of latest runs: enough for a median, and outdated ones drop out soon after a change."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a run that has not ended.

    Attributes:
        duration: Seconds from its first start to its end.
        wait: Seconds until its first start, if it has not started; None if unknown.
        place: Its place in line, 1 for the next; None if it is in none.
        queue: What one that is new would wait for in line; None if it would begin at once.
        cost: What it will cost; None where the Environment has no prices.
        currency: The currency of that.
    """

    duration: float
    wait: float | None = None
    place: int | None = None
    cost: float | None = None
    currency: str | None = None
    queue: Queue | None = None


def past_of(completed: Sequence[ExecutionView], recent: Sequence[ExecutionView]) -> Past:
    """What earlier runs took; of their steps if none completed. `recent` are runs of any status."""
    if completed:
        runs: dict[str, list[float]] = {}
        for run in completed:
            runs.setdefault(run.status.environment or "", []).append(_seconds(run))
        return Past({place: tuple(seconds) for place, seconds in runs.items()})
    steps: dict[str, dict[str, list[float]]] = {}
    for run in recent:
        of_place = steps.setdefault(run.status.environment or "", {})
        for name, step in run.status.steps.items():
            if step.phase == "Completed" and step.start_time and step.completion_time:
                seconds = max((step.completion_time - step.start_time).total_seconds(), 0.0)
                of_place.setdefault(name, []).append(seconds)
    return Past(
        steps={
            place: {name: tuple(seconds) for name, seconds in of_place.items()}
            for place, of_place in steps.items()
        }
    )


def _seconds(execution: ExecutionView) -> float:
    end = ended(execution)
    assert end is not None, "only runs that have ended have a duration"
    return max((end - started(execution)).total_seconds(), 0.0)
