"""The archiver: what it writes and notes, killed anywhere, and with a database that is away or refuses."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from typing_extensions import override

from nightcrawler_api.archive import tables
from nightcrawler_api.archive.archiver import Archiver, Retention
from nightcrawler_api.archive.database import Database, NotStorable, Work
from nightcrawler_api.archive.reader import ArchiveReader
from nightcrawler_api.archive.rows import DELETED_WHILE_LIVE
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.keeping.notes import Notes
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import names
from nightcrawler_crds.errors import Unavailable
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.support.archives import NAMESPACE, PLACE, sqlite_archive
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import Death, KilledError, ModelStore

T = TypeVar("T")
WORKFLOW: Final = "wf"
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
async def facade(server: ModelServer, url: str, keep: Retention | None = None) -> AsyncIterator[Facade]:
    store = ModelStore(server)
    cluster = ClusterCache(store, NAMESPACE)
    database = MortalDatabase(url)
    reader = ArchiveReader(database, cluster)
    reader.place = PLACE
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
    spec = {"displayName": "A workflow", "steps": [{"name": "b"}, {"name": "a"}], "tags": ["t"]}
    made = server.create(
        names.WORKFLOWS, {"metadata": {"name": WORKFLOW, "namespace": NAMESPACE}, "spec": spec}
    )
    owner = {key: made["metadata"][key] for key in ("name", "uid")}
    owner |= {"apiVersion": names.API_VERSION, "kind": "Workflow"}
    meta = {"name": "wf-1", "namespace": NAMESPACE, "ownerReferences": [owner]}
    server.create(names.REVISIONS, {"metadata": meta, "revision": 7, "data": {"steps": spec["steps"]}})
    for number in range(runs):
        add_run(server, f"run-{number}", owner)
    add_run(server, "live", owner, ended=False)
    return server


def add_run(server: ModelServer, name: str, owner: Json, *, ended: bool = True) -> None:
    meta = {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]}
    server.create(names.EXECUTIONS, {"metadata": meta, "spec": {"workflowRef": {"name": WORKFLOW}}})
    status: Json = {
        "phase": "Running",
        "revision": "wf-1",
        "steps": {"a": {"phase": "Running", "attempt": 1}},
    }
    if ended:
        status |= {"phase": "Completed", "completionTime": DONE, "settled": False, "duties": ["Archive"]}
    server.patch(names.EXECUTIONS, (NAMESPACE, name), {"status": status}, "status")


def noted(server: ModelServer) -> list[str]:
    """The runs on which it is noted that they are archived."""
    return sorted(
        name
        for (_, name), body in server.of(names.EXECUTIONS).items()
        if "Archive" in body["metadata"].get("annotations", {}).get(names.ANNOTATION_DUTIES_DONE, "")
    )


async def archived(made: Facade) -> list[str]:
    found = await made.database.read(lambda c: list(c.execute(select(tables.executions.c.name)).scalars()))
    return sorted(found)


deaths = st.none() | st.builds(Death, st.integers(0, 4), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(deaths, deaths), max_size=4))
def test_killed_anywhere_every_run_is_archived_once_and_only_then_noted(
    lives: list[tuple[Death | None, Death | None]],
) -> None:
    server = a_server()

    async def story(url: str) -> None:
        for of_store, of_database in [*lives, (None, None)]:
            async with facade(server, url) as made:
                made.store.live_until(of_store)
                made.database.death = of_database
                try:
                    await made.catch_up()
                except KilledError:
                    assert of_store or of_database
                assert set(noted(server)) <= set(await archived(made))
                if of_store is of_database is None:
                    assert await archived(made) == noted(server) == ["run-0", "run-1", "run-2"]

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(sqlite_archive(Path(folder))))


async def test_what_ends_is_archived_with_its_revision_and_its_workflow(archive_url: str) -> None:
    server = a_server()
    async with facade(server, archive_url) as made:
        await made.catch_up()
        assert made.archiver.written == 3
        found = await made.archiver._reader.execution("run-0", None)
        assert found is not None
        assert (found.workflow_name, found.order) == ("A workflow", ("a",))
        revision = await made.archiver._reader.revision("wf-1")
        assert revision is not None
        assert (revision.generation, revision.created is not None) == (7, True)
        assert revision.data == {"steps": [{"name": "b"}, {"name": "a"}]}
        assert all(run.archived for run in made.cluster.index.runs if run.ended)

        status = {"phase": "Failed", "completionTime": DONE, "settled": False, "duties": ["Archive"]}
        server.patch(names.EXECUTIONS, (NAMESPACE, "live"), {"status": status}, "status")
        made.observe()
        await made.catch_up()
        assert await archived(made) == noted(server) == ["live", "run-0", "run-1", "run-2"]


async def test_a_run_is_archived_once_all_that_the_operator_owes_is_recorded_in_it(archive_url: str) -> None:
    server = a_server(1)
    where = (NAMESPACE, "run-0")

    def owing(*duties: str, **status: Any) -> None:
        server.patch(names.EXECUTIONS, where, {"status": {"duties": duties, **status}}, "status")

    owing("Notifications", "Trace", "Logs", "Archive")
    async with facade(server, archive_url) as made:
        await made.catch_up()
        owing("Trace", "Logs", "Archive")
        made.observe()
        await made.catch_up()
        assert await archived(made) == noted(server) == []
        attempts = [{"number": 1, "events": [{"time": DONE, "reason": "Pulled"}]}]
        owing("Logs", "Archive", steps={"a": {"attempts": attempts}})
        made.observe()
        await made.catch_up()
        assert await archived(made) == noted(server) == ["run-0"]
        found = await made.archiver._reader.execution("run-0", None)
        assert found is not None
        (attempt,) = found.view.status.steps["a"].attempts or ()
        assert [event.reason for event in attempt.events or ()] == ["Pulled"]


async def test_one_that_is_deleted_while_the_operator_owes_something_is_archived_as_it_is(
    archive_url: str,
) -> None:
    server = a_server(1)
    where = (NAMESPACE, "run-0")
    server.patch(names.EXECUTIONS, where, {"status": {"duties": ["Notifications", "Archive"]}}, "status")
    async with facade(server, archive_url) as made:
        await made.catch_up()
        run = made.cluster.index.runs.get(*where)
        assert run is not None
        server.delete(names.EXECUTIONS, where)
        made.cluster.mark_execution_deleted(run)
        await made.catch_up()
        assert await archived(made) == ["run-0"]


async def test_a_live_run_that_is_deleted_is_archived_as_cancelled(archive_url: str) -> None:
    server = a_server(0)
    async with facade(server, archive_url) as made:
        await made.catch_up()
        live = made.cluster.index.runs.get(NAMESPACE, "live")
        assert live is not None
        server.delete(names.EXECUTIONS, (NAMESPACE, "live"))
        made.cluster.mark_execution_deleted(live)
        await made.catch_up()
        found = await made.archiver._reader.execution("live", None)
        assert found is not None
        assert (found.view.status.phase, found.view.status.message) == ("Cancelled", DELETED_WHILE_LIVE)


async def test_a_run_that_has_no_owner_yet_is_archived_as_one_of_the_workflow_that_it_names(
    archive_url: str,
) -> None:
    server = a_server(1)
    for name in ("run-0", "live"):
        server.patch(names.EXECUTIONS, (NAMESPACE, name), {"metadata": {"ownerReferences": []}})
    async with facade(server, archive_url) as made:
        await made.catch_up()
        live = made.cluster.index.runs.get(NAMESPACE, "live")
        assert live is not None
        # The facade deletes those before their workflow, of which the garbage collector knows nothing.
        server.delete(names.EXECUTIONS, (NAMESPACE, "live"))
        made.cluster.mark_execution_deleted(live)
        server.delete(names.WORKFLOWS, (NAMESPACE, WORKFLOW))
        (entry,) = made.cluster.index.workflows()
        made.cluster.mark_workflow_deleted(entry.view)
        await made.catch_up()
        for name in ("run-0", "live"):
            found = await made.archiver._reader.execution(name, entry.view.metadata.uid)
            assert found is not None, name
            assert found.workflow_name == "A workflow"


async def test_a_deleted_workflow_is_marked_and_one_deleted_meanwhile_too(archive_url: str) -> None:
    server = a_server()

    async def deleted(made: Facade) -> list[bool]:
        query = select(tables.workflows.c.deleted_at.is_not(None))
        return await made.database.read(lambda c: list(c.execute(query).scalars()))

    async with facade(server, archive_url) as made:
        await made.catch_up()
        assert await deleted(made) == [False]
    server.delete(names.WORKFLOWS, (NAMESPACE, WORKFLOW))
    async with facade(server, archive_url) as made:
        await made.catch_up()
        assert await deleted(made) == [True]
        assert await archived(made) == ["run-0", "run-1", "run-2"]


async def test_runs_that_ended_before_there_was_an_archive_are_archived_and_not_written_to(
    archive_url: str,
) -> None:
    server = a_server()
    for where in list(server.of(names.EXECUTIONS)):
        server.patch(names.EXECUTIONS, where, {"status": {"settled": None, "duties": None}}, "status")
    before = server.version
    async with facade(server, archive_url) as made:
        await made.catch_up()
        assert await archived(made) == ["run-0", "run-1", "run-2"]
    assert server.version == before


async def test_while_the_database_is_away_nothing_is_noted_and_deleted_runs_are_not_lost(
    archive_url: str,
) -> None:
    server = a_server()
    async with facade(server, archive_url) as made:
        made.database.away = HistoryUnavailable("it is away")
        with pytest.raises(HistoryUnavailable):
            await made.catch_up()
        assert noted(server) == []
        view = made.cluster.index.runs.get(NAMESPACE, "run-1")
        assert view is not None
        server.delete(names.EXECUTIONS, (NAMESPACE, "run-1"))
        made.cluster.mark_execution_deleted(view)
        assert made.archiver.backlog.oldest is not None
        made.database.away = None
        await made.catch_up()
        assert await archived(made) == ["run-0", "run-1", "run-2"]
        assert (noted(server), len(made.archiver.backlog)) == (["run-0", "run-2"], 0)


async def test_while_the_api_server_is_away_what_is_written_is_noted_later(archive_url: str) -> None:
    server = a_server()
    async with facade(server, archive_url) as made:

        async def away(*_: Any, **__: Any) -> Any:
            raise Unavailable("the API server cannot be reached")

        there, made.store.patch = made.store.patch, away  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await made.catch_up()
        assert await archived(made) == ["run-0", "run-1", "run-2"]
        made.store.patch = there  # type: ignore[method-assign]
        await made.catch_up()
        assert noted(server) == ["run-0", "run-1", "run-2"]


async def test_what_the_database_does_not_take_keeps_nothing_else_from_being_archived(
    archive_url: str,
) -> None:
    server = a_server()
    async with facade(server, archive_url) as made:
        there = made.archiver._write

        async def write(place: Any, runs: Any, used: Any) -> int:
            if any(run.view.metadata.name == "run-1" for run in runs):
                raise NotStorable("too large")
            return await there(place, runs, used)

        made.archiver._write = write  # type: ignore[method-assign]
        await made.catch_up()
        assert await archived(made) == ["run-0", "run-2"]
        assert len(made.archiver.backlog) == 0


async def test_rows_beyond_the_number_go_and_those_of_the_cluster_stay(archive_url: str) -> None:
    server = a_server(4)
    async with facade(server, archive_url) as made:
        await made.catch_up()
        ghost = {"namespace_id": 1, "uid": "ghost", "name": "ghost", "workflow": "x", "status": "failed"}
        times = dict.fromkeys(("created_at", "started_at", "ended_at", "duration", "archived_at"), 1)
        rest = {"trigger": "Manual"}
        await made.database.write(lambda c: c.execute(insert(tables.executions).values(ghost | times | rest)))
    async with facade(server, archive_url, Retention(1e10, 2)) as made:
        await made.catch_up()
        assert await archived(made) == [f"run-{number}" for number in range(4)]
        assert made.archiver.removed == 1
    async with facade(server, archive_url, Retention(1.0, 1_000)) as made:
        for number in (0, 1):
            server.delete(names.EXECUTIONS, (NAMESPACE, f"run-{number}"))
    async with facade(server, archive_url, Retention(1.0, 1_000)) as made:
        await made.catch_up()
        assert await archived(made) == ["run-2", "run-3"]
