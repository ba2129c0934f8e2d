"""The recorded state of a schedule, and the changes that it can go through. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from nightcrawler_crds.kube.scheduleviews import OutcomeView, ScheduleStatusView
from nightcrawler_crds.v1alpha1 import conditions

KEPT: Final = 10
"""So many outcomes are kept; the schema allows no more."""
STARTED: Final = "Started"
SKIPPED: Final = "Skipped"
DROPPED: Final = "Dropped"
_UNDER_WAY: Final = frozenset({conditions.RUN_STARTING, conditions.RUN_RUNNING})


def is_starting(entry: OutcomeView) -> bool:
    """Whether its run is to be created, and is not known to be."""
    return entry.outcome == STARTED and entry.reason == conditions.RUN_STARTING


def is_under_way(entry: OutcomeView) -> bool:
    """Whether its run is not known to have ended."""
    return entry.outcome == STARTED and entry.reason in _UNDER_WAY


def with_outcome(
    state: ScheduleStatusView, entry: OutcomeView, *, keep: frozenset[str]
) -> ScheduleStatusView:
    """The state after a decision on the next time; outcomes of the runs to `keep` stay."""
    changed = msgspec.structs.replace(
        state,
        last_scheduled_time=entry.time,
        message=None,
        recent=_cut((*state.recent, entry), entry, keep),
    )
    if entry.outcome == STARTED:
        changed = msgspec.structs.replace(changed, last_started=entry.time)
    return changed


def with_entry(state: ScheduleStatusView, old: OutcomeView, new: OutcomeView) -> ScheduleStatusView:
    """The state with an outcome changed."""
    recent = tuple(new if entry is old else entry for entry in state.recent)
    return msgspec.structs.replace(state, recent=recent)


def with_forgotten(
    state: ScheduleStatusView, entry: OutcomeView, *, keep: frozenset[str]
) -> ScheduleStatusView:
    """The state with an outcome that had dropped out of it: its run has ended now."""
    return msgspec.structs.replace(state, recent=_cut((entry, *state.recent), entry, keep))


def _cut(entries: tuple[OutcomeView, ...], new: OutcomeView, keep: frozenset[str]) -> tuple[OutcomeView, ...]:
    """The last outcomes; those of runs whose ends are not noted, or owed, stay for longest."""
    kept = list(entries)
    while len(kept) > KEPT:
        older = [entry for entry in kept if entry is not new]
        over = next((e for e in older if not is_under_way(e) and e.execution not in keep), older[0])
        kept.remove(over)
    return tuple(kept)


def whole_second(moment: datetime) -> datetime:
    """The second that a moment is in: a status has whole ones."""
    return moment.replace(microsecond=0)
