"""The Event about a workflow that an outcome deserves: times without a run, for `kubectl describe`. Pure."""

from __future__ import annotations

from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.scheduleviews import OutcomeView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.schedules.record import DROPPED, STARTED
from nightcrawler_operator.plan import RunEvent


def event_of(entry: OutcomeView) -> RunEvent | None:
    """None for a time that has a run, which has Events of its own, and for what a person has suspended."""
    if entry.outcome == STARTED or entry.reason == conditions.SUSPENDED:
        return None
    time = to_wire(entry.time)
    why = f" ({entry.message})" if entry.message else ""
    return RunEvent(
        reason=f"Schedule{entry.outcome}",
        message=f"no run for {time}: {entry.reason}{why}",
        key=("schedule", time, entry.outcome),
        warning=entry.outcome == DROPPED,
    )
