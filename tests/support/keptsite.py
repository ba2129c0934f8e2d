"""A run of one step whose log is kept: the API server, a node with the log, the store, and its facades."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from typing_extensions import override

from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.keeping.notes import Notes
from nightcrawler_api.keptlogs.collector import Collector
from nightcrawler_api.keptlogs.reader import find
from nightcrawler_api.keptlogs.record import RECORD, Where, mark_of
from nightcrawler_api.keptlogs.store import LogStore
from nightcrawler_api.masks import Masks
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import names
from nightcrawler_crds.errors import Forbidden, Invalid
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import Resource
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import KilledError, ModelStore

NAMESPACE: Final = "default"
BEGAN: Final = datetime(2025, 7, 10, 14, 0, tzinfo=UTC)
WHERE: Final = Where("cluster", NAMESPACE, "uid-of-run", "A step", 1)
MIB: Final = 1 << 20


class MortalStore(LogStore):
    """A store in memory that is away, or whose process is killed, at a write."""

    def __init__(self) -> None:
        super().__init__("memory:///")
        self.dies_at: int | None = None
        self.is_away = False
        self.written = asyncio.Event()
        self._writes = 0

    def live_until(self, write: int | None) -> None:
        self.dies_at, self._writes = write, 0

    @override
    async def put(self, path: str, content: bytes) -> None:
        self._writes += 1
        if self.dies_at is not None and self._writes > self.dies_at:
            raise HistoryUnavailable("away") if self.is_away else KilledError
        await super().put(path, content)
        if path.endswith(RECORD):
            self.written.set()


@dataclass
class Node:
    """A kubelet: what a container has written, and from which line on its newest file begins."""

    lines: list[tuple[datetime, bytes]] = field(default_factory=list)
    file: int = 0
    has_containers: bool = True
    runs: bool = True
    partial: bytes = b""

    def write(self, count: int, at: datetime) -> None:
        # Stamps are to the nanosecond: no two lines of a program have the same one.
        for _ in range(count):
            number = len(self.lines)
            self.lines.append((at + timedelta(microseconds=number), b"line %d" % number))

    def served(self, since: str | None) -> list[bytes]:
        begin = datetime.fromisoformat(since) if since else BEGAN
        return [
            f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z ".encode() + line
            for at, line in self.lines[self.file :]
            if at >= begin
        ]


class NodeStore(ModelStore):
    """The API server with one Pod, whose log comes from a node; it lists no Pods in some namespaces."""

    def __init__(self, server: ModelServer, node: Node, closed: Collection[str] = ()) -> None:
        super().__init__(server)
        self._node = node
        self._closed = closed

    @override
    async def list_with_version(self, resource: Resource, namespace: str, *rest: Any, **given: Any) -> Any:
        if namespace in self._closed:
            raise Forbidden(f"listing {resource.plural} is not allowed in {namespace}")
        return await super().list_with_version(resource, namespace, *rest, **given)

    @override
    @asynccontextmanager
    async def log_lines(
        self, namespace: str, pod: str, *, since: str | None = None, **_: Any
    ) -> AsyncGenerator[AsyncGenerator[list[bytes], None], None]:
        if not self._node.has_containers:
            raise Invalid("unable to retrieve container logs for containerd://abc")

        async def parts() -> AsyncGenerator[list[bytes], None]:
            found = self._node.served(since)
            for begin in range(0, len(found), 7):
                yield found[begin : begin + 7]

        yield parts()


class Site:
    """A run of one step with its Pod, and facades that keep its log.

    Attributes:
        closed: Namespaces in which the facade may not list Pods.
    """

    def __init__(self, *, masked: bool = False, others: Collection[str] | None = ()) -> None:
        self.masked = masked
        self.server = ModelServer()
        self.node = Node()
        self.objects = MortalStore()
        self.closed: set[str] = set()
        self.cluster = ClusterCache(ModelStore(self.server), NAMESPACE, others)
        self.where = self.add(NAMESPACE)
        self._collector = self._new()

    def add(self, namespace: str) -> Where:
        """Another run of the same name in a namespace, with its Pod."""
        spec: Json = {"workflowRef": {"name": "wf"}}
        meta = {"name": "run", "namespace": namespace}
        made = self.server.create(names.EXECUTIONS, {"metadata": meta, "spec": spec})
        where = Where("cluster", namespace, made["metadata"]["uid"], "A step", 1)
        labels = {names.LABEL_EXECUTION_UID: where.execution_uid, names.LABEL_EXECUTION: "run"}
        marks = {names.ANNOTATION_STEP: "A step", names.ANNOTATION_ATTEMPT: "1"}
        pod = {"name": "pod", "namespace": namespace, "labels": labels, "annotations": marks}
        self.server.create(names.PODS, {"metadata": pod, "status": {"phase": "Running"}})
        self.cluster.cache_execution(self.view(namespace))
        return where

    def _new(self) -> Collector:
        store = NodeStore(self.server, self.node, self.closed)
        notes = Notes(store, self.cluster)
        masks = Masks(store, self.cluster, enabled=self.masked)
        made = Collector(store, self.cluster, self.objects, notes, masks, most_bytes=64 * MIB)
        made.uid_of_cluster = "cluster"
        return made

    async def look(self, dies_at: int | None = None, *, is_away: bool = False) -> None:
        """One reading; at a write the store is away, or the process is killed and another begins."""
        self.objects.live_until(dies_at)
        self.objects.is_away = is_away
        self._collector._read_at.clear()  # as if it was long ago
        try:
            await self._collector._read_running()
        except KilledError:
            self._collector = self._new()
        except HistoryUnavailable:
            assert is_away
        self.objects.live_until(None)

    def pod_has(self, phase: str, **state: Json) -> None:
        """The kubelet reports a phase, and the state of the container, which began with the story."""
        of_step = {"name": names.STEP_CONTAINER, "state": state}
        status = {"phase": phase, "containerStatuses": [of_step]}
        self.server.patch(names.PODS, (NAMESPACE, "pod"), {"status": status}, "status")

    async def end(self, phase: str = "Succeeded") -> ExecutionView:
        """The run ends, and the rest of its log is read."""
        view = self.has_ended(phase)
        assert await self._collector._finish(view)
        return self.view()

    def has_ended(self, phase: str = "Succeeded", namespace: str = NAMESPACE) -> ExecutionView:
        """The run of a namespace has ended, and its log is to be kept."""
        self.server.patch(names.PODS, (namespace, "pod"), {"status": {"phase": phase}}, "status")
        status = {
            "phase": "Completed",
            "settled": False,
            "duties": ["Logs"],
            "completionTime": "2025-07-10T15:00:00Z",
        }
        self.server.patch(names.EXECUTIONS, (namespace, "run"), {"status": status}, "status")
        view = self.view(namespace)
        self.cluster.cache_execution(view)
        self._collector._take(view)
        return view

    def view(self, namespace: str = NAMESPACE) -> ExecutionView:
        return from_body(self.server.get(names.EXECUTIONS, (namespace, "run")), ExecutionView)

    async def kept(self, where: Where | None = None) -> list[bytes]:
        """The lines that are kept without their timestamps, and marks as they are."""
        log = await find(self.objects, where or self.where)
        assert log is not None
        lines = [line async for part in log.lines() for line in part]
        return [line if mark_of(line) else line.partition(b" ")[2] for line in lines]
