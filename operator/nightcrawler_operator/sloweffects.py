"""Effects that ask others than the API server: messages and traces.

They have queues and workers apart from all else: a receiver that hangs keeps a worker for seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from nightcrawler_crds.election.leadership import Leadership
from nightcrawler_crds.kube.store import Store
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.controller import Controller
from nightcrawler_operator.effects.notifications.sender import NotificationEffect
from nightcrawler_operator.effects.notifications.transport import Transports
from nightcrawler_operator.effects.traces.effect import PodEventsEffect, TraceEffect
from nightcrawler_operator.effects.traces.exporter import Exporter
from nightcrawler_operator.keys import NoticeKey, PodEventsKey, TraceKey, WorkKey
from nightcrawler_operator.settings import Settings
from nightcrawler_operator.telemetry import Telemetry
from nightcrawler_operator.workqueue import WorkQueue

_NOTICE_WORKERS: Final = 8
_TRACE_WORKERS: Final = 2


class SlowEffects:
    """Sends messages and traces while this process leads."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        cluster: ClusterState,
        telemetry: Telemetry,
        election: Leadership,
        wake: Callable[[WorkKey], None],
    ) -> None:
        self._transports = Transports(
            internal=settings.notifications_allow_internal, ca_file=settings.notifications_ca_file
        )
        self._exporter = (
            Exporter(settings.otlp_endpoint, settings.exporter_headers, settings.otlp_ca_file)
            if settings.otlp_endpoint
            else None
        )
        messages = NotificationEffect(
            store,
            cluster,
            self._transports,
            settings.limits,
            public_url=settings.public_url,
            time_left=election.time_left,
            wake=wake,
            metrics=telemetry,
        )
        self._notice_queue = WorkQueue[NoticeKey]()
        self._notices = Controller(
            self._notice_queue,
            {NoticeKey: messages},
            metrics=telemetry,
            leads=lambda: election.is_leader,
        )
        masked = settings.mask_secrets
        traces = TraceEffect(store, cluster, self._exporter, wake=wake, metrics=telemetry, masked=masked)
        self._trace_queue = WorkQueue[PodEventsKey | TraceKey]()
        self._traces = Controller[PodEventsKey | TraceKey](
            self._trace_queue,
            {
                PodEventsKey: PodEventsEffect(store, cluster, wake, masked=masked),
                TraceKey: traces,
            },
            metrics=telemetry,
            leads=lambda: election.is_leader,
        )

    def wake_notice(self, key: NoticeKey) -> None:
        """Queue a message."""
        self._notices.wake(key)

    def wake_trace(self, key: PodEventsKey | TraceKey) -> None:
        """Queue Events to collect, or a trace to export."""
        self._traces.wake(key)

    def workers(self) -> Iterator[tuple[Coroutine[Any, Any, None], str]]:
        """The work to run in the background, with a name for each."""
        for number in range(_NOTICE_WORKERS):
            yield self._notices.work(self._notice_queue), f"messages {number}"
        for number in range(_TRACE_WORKERS):
            yield self._traces.work(self._trace_queue), f"traces {number}"

    def wake_all(self) -> None:
        """Queue all that is due: this process leads from now on."""
        self._notices.wake_all()
        self._traces.wake_all()

    def clear(self) -> None:
        """Empty the queues: it leads no more."""
        self._notice_queue.clear()
        self._trace_queue.clear()

    async def close(self) -> None:
        """Close what is open to receivers."""
        await self._transports.close()
        if self._exporter is not None:
            await self._exporter.close()
