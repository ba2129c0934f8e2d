"""What others than facades have changed: kubectl, and the schedule; no I/O.

The cluster does not tell who has made a change. But what a facade has changed has a record with the same
mark, so that what has none after a while was changed by somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from nightcrawler_api.audit.record import (
    CANCELLED,
    CREATED,
    DELETED,
    UNKNOWN,
    Mark,
    Origin,
    Record,
    Subject,
    of_generation,
)
from nightcrawler_api.audit.trail import of_execution, of_workflow, state_of_execution
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.index import Index
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, SCHEDULE_EXECUTOR, WORKFLOWS

GRACE_SECONDS: Final = 5.0
"""The row of a facade's own change may come so much later than the change."""
_MOST_PENDING: Final = 20_000


class Others:
    """Changes whose records are still to be looked for; `now` is of a clock that never goes back.

    Attributes:
        news: Set when there is one more.
        overflown: Whether there were too many, so that everything has to be looked at again.
    """

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.overflown = False
        self._pending: dict[Mark, tuple[float, Record]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def follow(self, change: Change[Any], now: float, at: datetime) -> None:
        """Take a change from the hub."""
        match change.kind:
            case WORKFLOWS.plural:
                found = _of_workflow(change.old, change.new, at)
            case EXECUTIONS.plural:
                found = _of_execution(change.old, change.new, at)
            case _:
                return
        self.add(found, now)

    def add(self, records: Iterable[Record], now: float) -> None:
        """Take records that others may have made already."""
        for record in records:
            if len(self._pending) >= _MOST_PENDING:
                self._pending.clear()
                self.overflown = True
            self._pending[record.marks[0]] = (now + GRACE_SECONDS, record)
            self.news.set()

    def due(self, now: float, most: int) -> list[Record]:
        """Some that have waited long enough."""
        found = (record for due, record in self._pending.values() if due <= now)
        return [record for record, _ in zip(found, range(most), strict=False)]

    def seconds_to_wait(self, now: float) -> float | None:
        """Until the next is due; None if there is none."""
        first = next(iter(self._pending.values()), None)
        return None if first is None else max(first[0] - now, 0.0)

    def done(self, records: Iterable[Record]) -> None:
        """These are recorded, by whomever."""
        for record in records:
            self._pending.pop(record.marks[0], None)


def present(index: Index, namespace: str, at: datetime) -> Iterator[Record]:
    """The records that what is there now in a namespace must have, if nothing was observed before."""
    for entry in index.workflows():
        if entry.view.metadata.namespace == namespace:
            yield from _of_workflow(None, entry.view, at)
    for run in index.runs:
        if run.view.metadata.namespace == namespace:
            yield from _of_execution(None, run.view, at)


def gone(
    known: Mapping[str, str], present_uids: Collection[str], namespace: str, at: datetime
) -> list[Record]:
    """The records of deletions that were not observed; `known` are the names of workflows by UID."""
    return [
        _record(
            Subject(WORKFLOWS.kind, namespace, name, name, uid), Operation.DELETE_WORKFLOW.title, DELETED, at
        )
        for uid, name in known.items()
        if uid not in present_uids
    ]


def _of_workflow(old: WorkflowView | None, new: WorkflowView | None, at: datetime) -> Iterator[Record]:
    if new is None:
        if old is not None:
            yield _record(of_workflow(old), Operation.DELETE_WORKFLOW.title, DELETED, at).with_states(
                old.spec, None
            )
        return
    generation = new.metadata.generation
    if old is not None and old.metadata.generation == generation:
        return
    is_new = generation <= 1
    action = Operation.CREATE_WORKFLOW.title if is_new else Operation.UPDATE_WORKFLOW.title
    time = (new.metadata.creation_timestamp if is_new else None) or at
    before = old.spec if old is not None else None
    yield _record(of_workflow(new), action, of_generation(generation), time).with_states(before, new.spec)


def _of_execution(old: ExecutionView | None, new: ExecutionView | None, at: datetime) -> Iterator[Record]:
    if new is None:
        # Those that have ended are pruned. Others may go with their workflow: who records this looks for it.
        if old is not None and not old.status.has_ended:
            yield _record(of_execution(old), "executions.delete", DELETED, at)
        return
    if old is None:
        created = new.metadata.creation_timestamp or at
        record = _record(of_execution(new), Operation.EXECUTE.title, CREATED, created)
        yield _by_schedule(record, new).with_states(None, state_of_execution(new))
    if new.spec.cancel and (old is None or not old.spec.cancel):
        record = _record(of_execution(new), Operation.CANCEL.title, CANCELLED, at)
        yield record.with_states({"cancel": False}, {"cancel": True})


def _by_schedule(record: Record, view: ExecutionView) -> Record:
    spec = view.spec
    if spec.trigger.type != "Schedule" or spec.executor != SCHEDULE_EXECUTOR:
        return record
    return replace(record, caller=SCHEDULE_EXECUTOR, origin=Origin.SCHEDULE)


def _record(subject: Subject, action: str, change: str, at: datetime) -> Record:
    return Record(
        id=f"{subject.uid}/{change}",
        time=at,
        caller=UNKNOWN,
        origin=Origin.CLUSTER,
        action=action,
        subject=subject,
        marks=(Mark(subject.namespace, subject.uid, change),),
    )
