"""Collects what traces need of the cluster, and exports those of runs that have ended.

At least once: a trace that was exported and not recorded as such is exported again, with the same ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.nativeviews import EventView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import AttemptView, ExecutionView, PodEventView
from nightcrawler_crds.masking import NOTHING_HIDDEN, Mask
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.tracing.otlp import trace_request
from nightcrawler_crds.v1alpha1 import MAX_POD_EVENTS
from nightcrawler_crds.validation import is_secure
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.traces import owed, uncollected
from nightcrawler_operator.decisions.attemptrecords import DEBUG, without_events
from nightcrawler_operator.effects.traces.exporter import ExportError
from nightcrawler_operator.keys import DutyKey, ExecutionKey, PodEventsKey, TraceKey, WorkKey
from nightcrawler_operator.plan import Done, Outcome, Waiting

log = logging.getLogger(__name__)

_FIRST_BACKOFF: Final = 2.0
_LONGEST_BACKOFF: Final = 300.0
_LONGEST_MESSAGE: Final = 200
_MOST_COLLECTED: Final = 100
_NO_EVENTS: Final[tuple[PodEventView, ...]] = ()


class Export(Protocol):
    """Takes traces."""

    async def export(self, request: Mapping[str, Any]) -> None:
        """Export one trace; raises `ExportError` and nothing else."""
        ...


class Metrics(Protocol):
    """Counts traces."""

    def exported_trace(self, outcome: str) -> None:
        """An attempt was made: exported, refused for good, or to be retried."""
        ...


class PodEventsEffect:
    """Collects the Events about the Pods of attempts that have ended, of live runs at level debug."""

    wake_delay = 0.0

    def __init__(
        self, store: Store, cluster: ClusterState, wake: Callable[[WorkKey], None], *, masked: bool = False
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._wake = wake
        self._masked = masked

    def all_keys(self) -> Iterator[PodEventsKey]:
        """Every attempt whose Events are to be collected."""
        for execution in self._cluster.executions:
            yield from uncollected(execution)

    async def reconcile(self, key: PodEventsKey) -> Outcome:
        """Collect the Events about one Pod, once. Raises ApiError."""
        which = (key.step, key.attempt)
        if which in self._cluster.traces.events(key.uid):
            self._wake(ExecutionKey(key.namespace, key.name))
            return Done()
        execution = self._cluster.executions.get((key.namespace, key.name))
        mask = _mask(self._cluster, execution) if self._masked else NOTHING_HIDDEN
        events = await pod_events(self._store, self._cluster, key.namespace, key.uid, which, mask)
        if execution is not None:
            self._cluster.traces.note_events(key.uid, which, events)
            self._wake(ExecutionKey(key.namespace, key.name))
        return Done()


class TraceEffect:
    """Completes the traces of runs that have ended, and exports them if there is an `exporter`."""

    wake_delay = 0.0

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        exporter: Export | None,
        *,
        wake: Callable[[WorkKey], None],
        metrics: Metrics,
        masked: bool = False,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._exporter = exporter
        self._wake = wake
        self._metrics = metrics
        self._masked = masked
        self._pause = 0.0
        self._paused_until: datetime | None = None

    def all_keys(self) -> Iterator[TraceKey]:
        """Every run that owes its trace."""
        for execution in self._cluster.owing:
            yield from owed(execution)

    async def reconcile(self, key: TraceKey) -> Outcome:
        """Export one trace; returns when to try again. Raises ApiError."""
        where = (key.namespace, key.name)
        run = self._cluster.owing.get(where, key.uid)
        if run is None or not any(owed(run)):
            return Done()
        if self._cluster.traces.finished(key.uid) is not None:
            self._wake(DutyKey(*where))
            return Done()
        if self._paused_until is not None and utcnow() < self._paused_until:
            return Waiting(self._paused_until)
        try:
            execution = await self._store.get(names.EXECUTIONS, *where, ExecutionView)
        except errors.NotFound:
            return Done()
        if execution.metadata.uid != key.uid:
            return Done()
        collected = await self._collected(execution)
        if self._exporter is not None:
            try:
                await self._exporter.export(trace_request(_with(execution, collected), utcnow()))
            except ExportError as error:
                if not error.final:
                    return self._later(error)
                self._metrics.exported_trace("refused")
                log.warning("the trace was not exported: %s", error)
            else:
                self._pause, self._paused_until = 0.0, None
                self._metrics.exported_trace("exported")
        self._cluster.traces.note_finished(key.uid, collected)
        self._wake(DutyKey(*where))
        return Done()

    def _later(self, error: ExportError) -> Waiting:
        """Leave the collector alone for a while, with all traces."""
        self._metrics.exported_trace("retried")
        now = utcnow()
        if self._paused_until is None or now >= self._paused_until:
            self._pause = min(self._pause * 2 or _FIRST_BACKOFF, _LONGEST_BACKOFF)
            self._paused_until = now + timedelta(seconds=self._pause)
            log.info("traces wait for %.0f s: %s", self._pause, error)
        return Waiting(self._paused_until)

    async def _collected(self, execution: ExecutionView) -> dict[str, tuple[AttemptView, ...]]:
        """The attempts of steps of which some had no Events yet."""
        if execution.status.trace_level != DEBUG:
            return {}
        meta, steps = execution.metadata, execution.status.steps
        found: dict[tuple[str, int], tuple[PodEventView, ...]] = {}
        missing = without_events(steps)
        mask = _mask(self._cluster, execution) if self._masked else NOTHING_HIDDEN
        for which in missing:
            if len(missing) > _MOST_COLLECTED:
                found[which] = _NO_EVENTS  # they would not fit into the status
                continue
            known = self._cluster.traces.events(meta.uid).get(which)
            if known is None:
                known = await pod_events(self._store, self._cluster, meta.namespace, meta.uid, which, mask)
            found[which] = known
        return {
            name: tuple(
                msgspec.structs.replace(one, events=found.get((name, one.number), one.events))
                for one in steps[name].attempts or ()
            )
            for name in {name for name, _ in found}
        }


def _mask(cluster: ClusterState, execution: ExecutionView | None) -> Mask | None:
    """What hides the values of the run's Secrets in messages; None if these have to be left out.

    A message of a kubelet may have a command line in it, and that a value.
    """
    if execution is None:
        return None
    meta, name = execution.metadata, execution.status.revision
    revision = cluster.revisions.recorded((meta.namespace, name)) if name else None
    if revision is not None and not is_secure(revision.spec):
        return NOTHING_HIDDEN
    known = cluster.lookup_results.get(meta.uid)
    return known.mask_at(utcnow()) if known is not None else None


async def pod_events(
    store: Store,
    cluster: ClusterState,
    namespace: str,
    uid: str,
    which: tuple[str, int],
    mask: Mask | None = NOTHING_HIDDEN,
) -> tuple[PodEventView, ...]:
    """The Events about the Pod of an attempt; none if the Pod is gone. Raises ApiError.

    `mask` hides values in their messages; with None these are left out.
    """
    pods = [
        pod
        for pod in cluster.pods_of.get(uid, {}).values()
        if (pod.metadata.annotations.step, pod.metadata.annotations.attempt_number) == which
        and pod.metadata.namespace == namespace
    ]
    if not pods:
        return _NO_EVENTS
    selector = f"involvedObject.uid={pods[-1].metadata.uid}"
    try:
        found = await store.list_all(names.EVENTS, namespace, EventView, field_selector=selector)
    except errors.Forbidden:
        return _NO_EVENTS
    views = [view for event in found if (view := _view(event, mask)) is not None]
    return tuple(sorted(views, key=lambda view: view.time)[:MAX_POD_EVENTS])


def _view(event: EventView, mask: Mask | None) -> PodEventView | None:
    time = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    if time is None or not event.reason:
        return None
    message = one_line(mask(event.message), _LONGEST_MESSAGE) if mask is not None else ""
    return PodEventView(time, event.reason[:128], message or None)


def _with(execution: ExecutionView, attempts: Mapping[str, tuple[AttemptView, ...]]) -> ExecutionView:
    steps = {
        name: msgspec.structs.replace(step, attempts=attempts[name]) if name in attempts else step
        for name, step in execution.status.steps.items()
    }
    return msgspec.structs.replace(execution, status=msgspec.structs.replace(execution.status, steps=steps))
