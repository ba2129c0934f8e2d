"""Metrics for Prometheus: requests by route and status, their latency, cached objects."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping, Sized
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from nightcrawler_api.archive.contract import Archive
from nightcrawler_api.audit.recorder import Recorder
from nightcrawler_api.auth.setup import Identity
from nightcrawler_api.keeping.keeper import Keeper
from nightcrawler_api.keeping.kept import Kept
from nightcrawler_api.keptlogs.contract import LogHistory
from nightcrawler_api.state.clustercache import ClusterCache

_NOTHING = Kept()
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""Methods counted by name; clients could invent any number of others."""
_Labels = tuple[str, str, int]
"""Method, route and status."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry and metrics of one application."""

    def __init__(
        self,
        cluster: ClusterCache,
        streams: Sized,
        kept: Kept = _NOTHING,
        recorder: Recorder | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nightcrawler_api_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "nightcrawler_api_request_seconds",
            "Time from a request to the first byte of its response.",
            ("method", "route"),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.streams = Gauge(
            "nightcrawler_api_streams", "Open streams of events and logs.", registry=self.registry
        )
        self.streams.set_function(lambda: len(streams))
        self.registry.register(_CachedState(cluster))
        if kept.keeper is not None and kept.archive is not None:
            self.registry.register(_ArchiveState(kept.archive, kept.keeper))
        if kept.keeper is not None and kept.logs is not None:
            self.registry.register(_LogState(kept.logs, kept.keeper))
        if recorder is not None and recorder.records is not None:
            self.registry.register(_AuditState(recorder))
        if identity is not None and identity.is_known:
            self.registry.register(_IdentityState(identity))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)


class _CachedState(Collector):
    """The state of the cache, read at each scrape."""

    def __init__(self, cluster: ClusterCache) -> None:
        self._cluster = cluster

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        objects = GaugeMetricFamily("nightcrawler_api_objects", "Cached objects, by kind.", labels=("kind",))
        for kind, count in self._cluster.sizes.items():
            objects.add_metric((kind,), count)
        yield objects
        silence = GaugeMetricFamily(
            "nightcrawler_api_silence_seconds",
            "Time since the last event of the watch, by kind.",
            labels=("kind",),
        )
        for kind, seconds in self._cluster.silences.items():
            silence.add_metric((kind,), seconds)
        yield silence
        server = self._cluster.reachability
        yield GaugeMetricFamily(
            "nightcrawler_api_server_reachable",
            "1 if the API server responded to the last probe within two seconds, else 0.",
            server.reachable,
        )
        yield GaugeMetricFamily(
            "nightcrawler_api_server_seconds", "Duration of the last probe of the API server.", server.seconds
        )
        unreadable = GaugeMetricFamily(
            "nightcrawler_api_unreadable_objects",
            "Objects that cannot be decoded, by kind; the log names object and field.",
            labels=("kind",),
        )
        for kind, count in self._cluster.unreadable.items():
            unreadable.add_metric((kind,), count)
        yield unreadable


class _ArchiveState(Collector):
    """The state of the archive, read at each scrape; how far it is behind, only where it is written."""

    def __init__(self, archive: Archive, keeper: Keeper) -> None:
        self._archive = archive
        self._keeper = keeper

    @override
    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield GaugeMetricFamily(
            "nightcrawler_api_archive_usable",
            "1 if nothing keeps this replica from archiving when it is its turn, else 0.",
            not (self._keeper.problem or self._archive.problem),
        )
        if not self._keeper.working:
            return
        backlog = self._archive.backlog
        yield GaugeMetricFamily(
            "nightcrawler_api_archive_waiting", "Executions that are still to be archived.", backlog.waiting
        )
        yield GaugeMetricFamily(
            "nightcrawler_api_archive_behind_seconds",
            "Time since the end of the first execution that is still to be archived.",
            backlog.seconds,
        )
        for name, documentation, value in (
            ("written", "Executions archived.", backlog.written),
            ("removed", "Executions removed from the archive, as too old or too many.", backlog.removed),
            ("lost", "Executions deleted before they could be archived.", backlog.lost),
        ):
            yield CounterMetricFamily(f"nightcrawler_api_archive_{name}", documentation, value)


class _LogState(Collector):
    """The state of kept logs, read at each scrape; what has come of them, only where they are filled."""

    def __init__(self, logs: LogHistory, keeper: Keeper) -> None:
        self._logs = logs
        self._keeper = keeper

    @override
    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield GaugeMetricFamily(
            "nightcrawler_api_logs_usable",
            "1 if nothing keeps this replica from keeping logs when it is its turn, else 0.",
            not (self._keeper.problem or self._logs.problem),
        )
        if not self._keeper.working:
            return
        usage = self._logs.usage
        yield GaugeMetricFamily(
            "nightcrawler_api_logs_stored_bytes",
            "Bytes in the log store, as of its last look.",
            usage.stored_bytes,
        )
        for name, documentation, value in (
            ("read_bytes", "Bytes of logs that were read and kept.", usage.read_bytes),
            ("gaps", "Places in logs at which the node did not have lines any more.", usage.gaps),
            ("removed", "Kept logs removed, as too old or too much.", usage.removed),
        ):
            yield CounterMetricFamily(f"nightcrawler_api_logs_{name}", documentation, value)


class _AuditState(Collector):
    """The rows of audit records, read at each scrape."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @override
    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield GaugeMetricFamily(
            "nightcrawler_api_audit_waiting",
            "Audit records that have no row in the archive yet.",
            len(self._recorder),
        )
        for name, documentation, value in (
            ("written", "Audit records that were written to the archive.", self._recorder.written),
            ("lost", "Audit records that have no row; their lines are in the log.", self._recorder.lost),
        ):
            yield CounterMetricFamily(f"nightcrawler_api_audit_{name}", documentation, value)


class _IdentityState(Collector):
    """Whether callers are identified and placed in teams as configured, found out at each scrape."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        teams, keys = self._identity.teams, self._identity.keys
        if teams.file is not None:
            teams.refresh()
            yield GaugeMetricFamily(
                "nightcrawler_api_teams_file_usable",
                "1 if the teams file is in effect, 0 if it cannot be used and its former content is.",
                not teams.failure,
            )
        if keys is not None:
            yield GaugeMetricFamily(
                "nightcrawler_api_identity_provider_usable",
                "0 if the keys of the identity provider could not be fetched at the last attempt, else 1.",
                not keys.failure,
            )


class Measured:
    """Counts responses when they begin, and measures the time until then.

    So a stream is counted while it goes on, and its length is not taken for latency. Nothing is held back.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._children: dict[_Labels, tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        begun = False

        def count(status: int) -> None:
            nonlocal begun
            begun = True
            route = _route(scope)
            method = scope["method"] if route and scope["method"] in _METHODS else "other"
            requests, seconds = self._of((method, route, status))
            requests.inc()
            seconds.observe(time.perf_counter() - start)

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start" and not begun:
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        finally:
            if not begun:
                count(500)

    def _of(self, labels: _Labels) -> tuple[Counter, Histogram]:
        """The metrics of these labels, cached: the library looks each of them up under a lock."""
        found = self._children.get(labels)
        if found is None:
            method, route, status = labels
            found = self._children[labels] = (
                self._metrics.requests.labels(method, route, status),
                self._metrics.seconds.labels(method, route),
            )
        return found


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route's pattern; empty for unknown paths, since clients could send any number of different ones."""
    return getattr(scope.get("route"), "path", "")
