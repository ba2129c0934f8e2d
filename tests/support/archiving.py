"""An archiver without its facade: on a model of the API server, with a database that can be away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sqlalchemy import select
from typing_extensions import override

from nightcrawler_api.archive import tables
from nightcrawler_api.archive.archiver import Archiver, Retention
from nightcrawler_api.archive.database import Database, Work
from nightcrawler_api.archive.reader import ArchiveReader
from nightcrawler_api.keeping.notes import Notes
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import names
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.support.archives import NAMESPACE, PLACE
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import Death, KilledError, ModelStore

T = TypeVar("T")
WORKFLOW: Final = "wf"
OTHER: Final = "other"
"""A further namespace."""
DONE: Final = "2025-07-10T15:00:00Z"


class MortalDatabase(Database):
    """A database whose process is killed at a write, before or after it is committed; or that is away."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.death: Death | None = None
        self.away: Exception | None = None
        self._writes = 0

    @override
    async def write(self, work: Work[T]) -> T:
        if self.away is not None:
            raise self.away
        due = self.death is not None and self._writes == self.death.write
        self._writes += 1
        if due and self.death is not None:
            if self.death.answered:
                await super().write(work)
            raise KilledError
        return await super().write(work)


@dataclass
class Facade:
    """One process: its cache, as full as the cluster, and its archiver."""

    server: ModelServer
    store: ModelStore
    database: MortalDatabase
    cluster: ClusterCache
    archiver: Archiver
    subscribed: list[Any] = field(default_factory=list)

    def observe(self) -> None:
        """Take over the state of the cluster, as the watches do."""
        for body in self.server.of(names.WORKFLOWS).values():
            self.cluster.cache_workflow(from_body(body, WorkflowView))
        for body in self.server.of(names.EXECUTIONS).values():
            self.cluster.cache_execution(from_body(body, ExecutionView))

    async def catch_up(self) -> None:
        await self.archiver._catch_up()


@asynccontextmanager
async def facade(
    server: ModelServer, url: str, keep: Retention | None = None, others: Collection[str] | None = ()
) -> AsyncIterator[Facade]:
    """A process that serves the home namespace and others, or all (None), and has archived nothing yet."""
    store = ModelStore(server)
    cluster = ClusterCache(store, NAMESPACE, others)
    for informer in cluster._informers:
        informer.synced.set()
    database = MortalDatabase(url)
    reader = ArchiveReader(database, cluster)
    reader.identity = PLACE.cluster
    retention = keep or Retention(1e10, 1_000_000)
    archiver = Archiver(store, cluster, database, reader, Notes(store, cluster), retention)
    made = Facade(server, store, database, cluster, archiver)
    made.observe()
    unsubscribe = cluster.changes.subscribe(archiver.backlog.follow)
    try:
        yield made
    finally:
        unsubscribe()
        await database.close()


def a_server(runs: int = 3) -> ModelServer:
    """A cluster with a workflow, some runs of it that have ended and owe the archive, and a live one."""
    server = ModelServer()
    owner = add_workflow(server)
    for number in range(runs):
        add_run(server, f"run-{number}", owner)
    add_run(server, "live", owner, ended=False)
    return server


def add_workflow(server: ModelServer, namespace: str = NAMESPACE) -> Json:
    """A workflow with a revision; the reference to it as an owner."""
    spec = {"displayName": "A workflow", "steps": [{"name": "b"}, {"name": "a"}], "tags": ["t"]}
    made = server.create(
        names.WORKFLOWS, {"metadata": {"name": WORKFLOW, "namespace": namespace}, "spec": spec}
    )
    owner: Json = {key: made["metadata"][key] for key in ("name", "uid")}
    owner |= {"apiVersion": names.API_VERSION, "kind": "Workflow"}
    meta = {"name": "wf-1", "namespace": namespace, "ownerReferences": [owner]}
    server.create(names.REVISIONS, {"metadata": meta, "revision": 7, "data": {"steps": spec["steps"]}})
    return owner


def add_run(
    server: ModelServer, name: str, owner: Json, *, ended: bool = True, namespace: str = NAMESPACE
) -> None:
    """A run of a workflow; if it has ended, it owes the archive."""
    meta = {"name": name, "namespace": namespace, "ownerReferences": [owner]}
    server.create(names.EXECUTIONS, {"metadata": meta, "spec": {"workflowRef": {"name": WORKFLOW}}})
    status: Json = {
        "phase": "Running",
        "revision": "wf-1",
        "steps": {"a": {"phase": "Running", "attempt": 1}},
    }
    if ended:
        status |= {"phase": "Completed", "completionTime": DONE, "settled": False, "duties": ["Archive"]}
    server.patch(names.EXECUTIONS, (namespace, name), {"status": status}, "status")


def noted(server: ModelServer) -> list[str]:
    """The runs on which it is noted that they are archived."""
    return sorted(
        name
        for (_, name), body in server.of(names.EXECUTIONS).items()
        if "Archive" in body["metadata"].get("annotations", {}).get(names.ANNOTATION_DUTIES_DONE, "")
    )


async def archived(made: Facade) -> list[str]:
    """The names of the runs that have a row."""
    found = await made.database.read(lambda c: list(c.execute(select(tables.executions.c.name)).scalars()))
    return sorted(found)
