"""Kubernetes Events on executions and workflows, for `kubectl describe`.

What is to be sent follows from each status that is written, so that a state that lasts only a moment is not
missed while the API server is slow. It waits in memory, bounded in number and time. A new leader repeats what
happened in the last minute: names follow from what happened, so an Event that exists is not recorded twice.
Events are sent at a bounded pace: where many runs end every second, nobody reads one for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.nativeviews import EventView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_operator.builders.event import event
from nightcrawler_operator.decisions import events
from nightcrawler_operator.effects.pace import Pace
from nightcrawler_operator.keys import EventsKey
from nightcrawler_operator.plan import Done, Outcome, RunEvent

log = logging.getLogger(__name__)

_MOST: Final = 2_000
"""Events that may wait to be sent, and how many of those that do not wait any more are remembered."""
_KEPT: Final = 600.0
"""Seconds after which one that could not be sent is dropped."""
_REPEATED: Final = timedelta(seconds=60)
_PER_SECOND: Final = 25.0
_BURST: Final = 200
_TIMEOUT: Final = 5.0
_EXPLAIN_EVERY: Final = 600.0


class Metrics(Protocol):
    """Counts Events."""

    def sent_event(self) -> None:
        """One was recorded, or existed already."""
        ...

    def dropped_event(self, why: str) -> None:
        """One was given up."""
        ...


@dataclass(frozen=True, slots=True)
class _Pending:
    """An Event to be sent, the resourceVersion of its execution, and since when it waits."""

    event: RunEvent
    version: str
    since: float


class EventEffect:
    """Sends Events. `wake` queues an execution that has some; `instance` says which replica reports them."""

    wake_delay = 0.0

    def __init__(
        self,
        store: Store,
        *,
        instance: str,
        metrics: Metrics,
        wake: Callable[[EventsKey], None],
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._instance = instance
        self._metrics = metrics
        self._wake = wake
        self._pace = pace or Pace(_PER_SECOND, _BURST)
        self._pending: dict[EventsKey, deque[_Pending]] = {}
        self._count = 0
        self._handled: dict[tuple[EventsKey, tuple[str, ...]], None] = {}
        self._explained_at = float("-inf")

    def __len__(self) -> int:
        """How many wait to be sent."""
        return self._count

    def recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        """A status was written: note what it deserves."""
        self._add(_key_of(after), after.metadata, events.events_between(before.status, after.status))

    def noted(self, workflow: WorkflowView, new: RunEvent) -> None:
        """Note what happened to a workflow."""
        meta = workflow.metadata
        self._add(EventsKey(meta.namespace, meta.name, meta.uid, names.WORKFLOWS.kind), meta, [new])

    def repeat_recent(self, executions: Iterable[ExecutionView]) -> None:
        """Note again what these executions have shown since a minute ago: another replica has led."""
        since = utcnow() - _REPEATED
        for execution in executions:
            self._add(_key_of(execution), execution.metadata, events.recent(execution.status, since))

    def clear(self) -> None:
        """Forget all: another replica leads."""
        for pending in self._pending.values():
            pending.clear()
        self._pending.clear()
        self._handled.clear()
        self._count = 0

    def all_keys(self) -> list[EventsKey]:
        """Every execution with Events to be sent."""
        return list(self._pending)

    async def reconcile(self, key: EventsKey) -> Outcome:
        """Send what is to be sent of one execution."""
        pending = self._pending.get(key)
        while pending:
            await self._pace.turn()
            if not pending:
                break  # another replica leads since
            one = pending[0]
            if _now() - one.since > _KEPT:
                self._take(key, pending, one, "late")
                continue
            try:
                await self._send(key, one)
            except errors.AlreadyExists:
                self._take(key, pending, one)
            except (errors.NotFound, errors.Forbidden, errors.Invalid) as refusal:
                self._explain(refusal)
                self._take(key, pending, one, "refused")
            except errors.ApiError as failure:
                if self._pace.failed():
                    log.info("Events wait, the API server does not take them now: %s", failure)
                continue
            else:
                self._take(key, pending, one)
            self._pace.succeeded()
        if pending is not None and self._pending.get(key) is pending:
            del self._pending[key]
        return Done()

    async def _send(self, key: EventsKey, one: _Pending) -> None:
        body = event(key, one.event, now=utcnow(), version=one.version, instance=self._instance)
        await self._store.create(names.EVENTS, key.namespace, body, EventView, timeout=_TIMEOUT)

    def _add(self, key: EventsKey, meta: Meta, new: list[RunEvent]) -> None:
        # The end of a run can be observed before the write of it is answered, and be noted twice.
        new = [one for one in new if (key, one.key) not in self._handled]
        if not new:
            return
        pending = self._pending.setdefault(key, deque())
        waiting = {one.event.key for one in pending}
        for one in new:
            if one.key in waiting:
                continue
            if self._count >= _MOST:
                self._metrics.dropped_event("too many")
                continue
            pending.append(_Pending(one, meta.resource_version, _now()))
            self._count += 1
        self._wake(key)

    def _take(self, key: EventsKey, pending: deque[_Pending], one: _Pending, dropped: str = "") -> None:
        """One has been sent, or is given up."""
        if not pending or pending[0] is not one:
            return  # forgotten meanwhile
        pending.popleft()
        self._count -= 1
        self._handled[key, one.event.key] = None
        if len(self._handled) > _MOST:
            del self._handled[next(iter(self._handled))]
        if dropped:
            self._metrics.dropped_event(dropped)
        else:
            self._metrics.sent_event()

    def _explain(self, refusal: errors.ApiError) -> None:
        """Log a refusal, now and then: the reason is often the same for all."""
        now = _now()
        if now - self._explained_at > _EXPLAIN_EVERY:
            self._explained_at = now
            log.warning("an Event was refused, which delays no run: %s", refusal)


def _key_of(execution: ExecutionView) -> EventsKey:
    meta = execution.metadata
    return EventsKey(meta.namespace, meta.name, meta.uid)


def _now() -> float:
    return asyncio.get_running_loop().time()
