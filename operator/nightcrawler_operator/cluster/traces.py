"""What was collected for traces, and which were exported, remembered until a status says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nightcrawler_crds.kube.views import AttemptView, ExecutionView, OwingView, PodEventView
from nightcrawler_operator.decisions.attemptrecords import DEBUG, without_events
from nightcrawler_operator.keys import PodEventsKey, TraceKey

PodEvents = Mapping[tuple[str, int], tuple[PodEventView, ...]]
Attempts = Mapping[str, tuple[AttemptView, ...]]

_NONE: Final[PodEvents] = MappingProxyType({})
DUTY: Final = "Trace"


class TraceFacts:
    """By the UID of the execution."""

    def __init__(self) -> None:
        self._events: dict[str, dict[tuple[str, int], tuple[PodEventView, ...]]] = {}
        self._finished: dict[str, Attempts] = {}

    def __len__(self) -> int:
        """How many executions something is remembered of."""
        return len(self._events.keys() | self._finished.keys())

    def note_events(self, uid: str, which: tuple[str, int], events: tuple[PodEventView, ...]) -> None:
        """The Events about the Pod of an attempt were collected."""
        self._events.setdefault(uid, {})[which] = events

    def events(self, uid: str) -> PodEvents:
        """The Events that were collected and may not be recorded yet."""
        return self._events.get(uid, _NONE)

    def note_finished(self, uid: str, attempts: Attempts) -> None:
        """The trace of a run that has ended is complete, and exported if it is to be."""
        self._finished[uid] = attempts

    def finished(self, uid: str) -> Attempts | None:
        """The attempts whose Events were collected after the end; None while the trace is not complete."""
        return self._finished.get(uid)

    def forget(self, uid: str) -> None:
        """Forget an execution that is gone, or owes nothing any more."""
        self._events.pop(uid, None)
        self._finished.pop(uid, None)


def uncollected(execution: ExecutionView) -> Iterator[PodEventsKey]:
    """The attempts of a live run whose Events are to be collected."""
    if execution.status.trace_level == DEBUG:
        meta = execution.metadata
        for step, attempt in without_events(execution.status.steps):
            yield PodEventsKey(meta.namespace, meta.name, meta.uid, step, attempt)


def owed(execution: OwingView) -> Iterator[TraceKey]:
    """The trace of a run that has ended, if it is owed."""
    if DUTY in (execution.status.duties or ()):
        meta = execution.metadata
        yield TraceKey(meta.namespace, meta.name, meta.uid)
