"""The archiver: what it writes and notes, killed anywhere, and with a database that is away or refuses."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from nightcrawler_api.archive import tables
from nightcrawler_api.archive.archiver import Retention
from nightcrawler_api.archive.database import NotStorable
from nightcrawler_api.archive.rows import DELETED_WHILE_LIVE
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds import names
from nightcrawler_crds.errors import Forbidden, Unavailable
from tests.support.archives import NAMESPACE, sqlite_archive
from tests.support.archiving import (
    DONE,
    OTHER,
    WORKFLOW,
    Facade,
    a_server,
    add_run,
    add_workflow,
    archived,
    facade,
    noted,
)
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import Death, KilledError

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
        found = await made.archiver._reader.execution(NAMESPACE, "run-0", None)
        assert found is not None
        assert (found.workflow_name, found.order) == ("A workflow", ("a",))
        revision = await made.archiver._reader.revision(NAMESPACE, "wf-1")
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
        found = await made.archiver._reader.execution(NAMESPACE, "run-0", None)
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
        found = await made.archiver._reader.execution(NAMESPACE, "live", None)
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
            found = await made.archiver._reader.execution(NAMESPACE, name, entry.view.metadata.uid)
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


async def where(made: Facade, name: str) -> list[tuple[str, bool]]:
    """In which namespaces there is a workflow of this name, and whether it is marked as deleted."""
    found = select(tables.namespaces.c.name, tables.workflows.c.deleted_at.is_not(None)).join(
        tables.workflows, tables.workflows.c.namespace_id == tables.namespaces.c.id
    )
    mine = found.where(tables.workflows.c.name == name).order_by(tables.namespaces.c.name)
    return await made.database.read(lambda c: [(place, gone) for place, gone in c.execute(mine)])


def with_another_namespace(runs: int = 2) -> tuple[ModelServer, Json]:
    """A server with a workflow and runs of the same names in two namespaces."""
    server = a_server(runs)
    owner = add_workflow(server, OTHER)
    for number in range(runs):
        add_run(server, f"run-{number}", owner, namespace=OTHER)
    return server, owner


@pytest.mark.parametrize("others", [(OTHER,), None])
async def test_runs_of_all_namespaces_that_are_served_are_archived_and_noted(
    archive_url: str, others: tuple[str, ...] | None
) -> None:
    server, _ = with_another_namespace()
    async with facade(server, archive_url, others=others) as made:
        await made.catch_up()
        assert await archived(made) == noted(server) == ["run-0", "run-0", "run-1", "run-1"]
        assert all(run.archived for run in made.cluster.index.runs if run.ended)
        for namespace in (NAMESPACE, OTHER):
            found = await made.archiver._reader.execution(namespace, "run-0", None)
            revision = await made.archiver._reader.revision(namespace, "wf-1")
            assert found is not None
            assert revision is not None
            (entry,) = [one for one in made.cluster.index.workflows() if one.order[1] == namespace]
            assert found.workflow_uid == revision.workflow_uid == entry.view.metadata.uid
        assert await where(made, WORKFLOW) == [(NAMESPACE, False), (OTHER, False)]


async def test_of_a_namespace_that_is_deleted_everything_stays_in_the_archive(archive_url: str) -> None:
    server, owner = with_another_namespace()
    add_run(server, "live", owner, ended=False, namespace=OTHER)
    async with facade(server, archive_url, others=[OTHER]) as made:
        await made.catch_up()
        for run in [run for run in made.cluster.index.runs if run.order[1] == OTHER]:
            server.delete(names.EXECUTIONS, (OTHER, run.order[2]))
            made.cluster.mark_execution_deleted(run.view)
        (entry,) = [one for one in made.cluster.index.workflows() if one.order[1] == OTHER]
        server.delete(names.WORKFLOWS, (OTHER, WORKFLOW))
        made.cluster.mark_workflow_deleted(entry.view)
        await made.catch_up()
        assert await where(made, WORKFLOW) == [(NAMESPACE, False), (OTHER, True)]
        page = await made.archiver._reader.page(ExecutionQuery(namespace=OTHER), None, skip=0, most=9)
        assert sorted(one.row.name for one in page.rows) == ["live", "run-0", "run-1"]
    # As old as they are, they go like others.
    async with facade(server, archive_url, Retention(1.0, 1_000), others=[OTHER]) as made:
        await made.catch_up()
        assert await archived(made) == [
            "live",
            "run-0",
            "run-1",
        ]
        assert made.archiver.removed == 2, "the cluster has those of the home namespace"


async def test_a_workflow_in_a_namespace_that_cannot_be_read_is_not_taken_for_deleted(
    archive_url: str,
) -> None:
    server, _ = with_another_namespace()
    async with facade(server, archive_url, others=[OTHER]) as made:
        await made.catch_up()
    home = ModelServer()
    async with facade(home, archive_url, others=[OTHER]) as made:
        for kind in (made.cluster._workflows, made.cluster._executions):
            kind[OTHER].synced.clear()
        await made.catch_up()
        assert await where(made, WORKFLOW) == [(NAMESPACE, True), (OTHER, False)]


async def test_missing_rights_in_one_namespace_hold_up_no_other(archive_url: str) -> None:
    server, _ = with_another_namespace(3)
    async with facade(server, archive_url, others=[OTHER]) as made:
        there = made.store.patch

        async def patch(resource: Any, namespace: str, *rest: Any, **given: Any) -> Any:
            if namespace == OTHER:
                raise Forbidden(f"patching is not allowed in {namespace}")
            return await there(resource, namespace, *rest, **given)

        made.store.patch = patch  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(Forbidden, match="not allowed in other"):
                await made.catch_up()
            assert noted(server) == ["run-0", "run-1", "run-2"]
        assert len(made.archiver.backlog) == 3
        made.store.patch = there  # type: ignore[method-assign]
        await made.catch_up()
        assert len(noted(server)) == 6
