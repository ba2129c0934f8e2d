"""The archive in PostgreSQL: what it keeps, two facades, a server that is away, slow or read-only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from localcluster import LocalCluster
from nightcrawler_api.archive import database as databases
from nightcrawler_api.archive import tables
from nightcrawler_api.archive.database import Database, engine_of
from nightcrawler_api.archive.migrate import MigrationError, migrate
from nightcrawler_api.errors import HistoryUnavailable
from tests.support.builders import a_workflow
from tests.support.facade import FacadeProcess
from tests.support.keeping import Kept, keeping, replica
from tests.support.polling import eventually
from tests.support.postgres import Postgres, postgres

# What the unit tests show of SQLite holds here too.
from tests.unit.test_archive_namespaces import (
    test_pages_of_several_namespaces_are_of_one_list,
    test_rows_of_each_namespace_are_found_by_names_that_others_have_too,
    test_the_newest_of_all_namespaces_are_kept_where_the_number_is_limited,
    test_who_sees_runs_of_one_namespace_sees_none_of_another,
)
from tests.unit.test_archive_store import (
    test_a_text_that_postgresql_does_not_take_is_stored_without_what_it_refuses,
    test_an_execution_whose_name_a_later_one_has_keeps_an_id_of_its_own,
    test_filters_are_those_of_the_cached_list,
    test_lists_show_what_a_run_has_cost,
    test_rows_of_other_clusters_and_namespaces_are_not_seen,
    test_the_newest_are_kept_where_the_number_is_limited,
    test_the_revisions_of_a_workflow_come_with_the_number_of_runs_that_used_them,
    test_what_is_archived_twice_has_one_row_and_the_revision_of_its_run,
    test_what_is_too_old_goes_but_not_what_the_cluster_still_has,
    test_workflows_are_replaced_and_stay_when_they_are_deleted,
)
from tests.unit.test_archive_union import (
    test_a_database_that_was_replaced_or_restored_is_read_from_its_beginning,
    test_a_deep_page_among_many_cached_ones_is_found,
    test_a_page_of_the_state_that_was_read_last_is_one_statement,
    test_a_run_is_listed_once_while_it_is_archived_and_pruned,
    test_deep_pages_are_found_from_places_known_though_rows_were_added_since,
    test_lists_with_any_earliest_start_have_the_number_of_their_rows,
)

__all__ = [
    "postgres",
    "test_a_database_that_was_replaced_or_restored_is_read_from_its_beginning",
    "test_a_deep_page_among_many_cached_ones_is_found",
    "test_a_page_of_the_state_that_was_read_last_is_one_statement",
    "test_a_run_is_listed_once_while_it_is_archived_and_pruned",
    "test_a_text_that_postgresql_does_not_take_is_stored_without_what_it_refuses",
    "test_an_execution_whose_name_a_later_one_has_keeps_an_id_of_its_own",
    "test_deep_pages_are_found_from_places_known_though_rows_were_added_since",
    "test_filters_are_those_of_the_cached_list",
    "test_lists_show_what_a_run_has_cost",
    "test_lists_with_any_earliest_start_have_the_number_of_their_rows",
    "test_pages_of_several_namespaces_are_of_one_list",
    "test_rows_of_each_namespace_are_found_by_names_that_others_have_too",
    "test_rows_of_other_clusters_and_namespaces_are_not_seen",
    "test_the_newest_are_kept_where_the_number_is_limited",
    "test_the_newest_of_all_namespaces_are_kept_where_the_number_is_limited",
    "test_the_revisions_of_a_workflow_come_with_the_number_of_runs_that_used_them",
    "test_what_is_archived_twice_has_one_row_and_the_revision_of_its_run",
    "test_what_is_too_old_goes_but_not_what_the_cluster_still_has",
    "test_who_sees_runs_of_one_namespace_sees_none_of_another",
    "test_workflows_are_replaced_and_stay_when_they_are_deleted",
]


@pytest.fixture(scope="module")
def migrated(postgres: Postgres) -> str:
    """The name of a database with all tables and no rows."""
    name = postgres.new_database()
    assert "there were none" in migrate(postgres.url(name))
    return name


@pytest.fixture
def archive_url(postgres: Postgres, migrated: str) -> str:
    """The URL of such a database of the test's own."""
    return postgres.url(postgres.new_database(migrated))


@pytest.fixture
def kept(
    cluster: LocalCluster, nodes: object, postgres: Postgres, archive_url: str, tmp_path: Path
) -> Iterator[Kept]:
    """A namespace with an archive there."""
    with keeping(cluster, tmp_path, archive_url) as made:
        try:
            yield made
        finally:
            postgres.resume()
            if not postgres.runs:
                postgres.start()


def test_migrations_make_the_tables_that_the_facade_reads(archive_url: str) -> None:
    engine = engine_of(archive_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()
    assert "up to date" in migrate(archive_url)


@pytest.mark.parametrize(
    ("password", "database", "said"),
    [("wrong", "postgres", "does not let the facade in"), (None, "nowhere", "does not exist on its server")],
)
def test_a_database_that_cannot_be_used_is_said_with_what_to_check(
    postgres: Postgres, password: str | None, database: str, said: str
) -> None:
    url = postgres.url(database, password) if password else postgres.url(database)
    with pytest.raises(MigrationError, match=said) as caught:
        migrate(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["writes", "reads", "alone"])
async def test_a_connection_that_the_server_has_closed_is_replaced_and_a_lock_is_not_waited_for_without_end(
    postgres: Postgres,
    archive_url: str,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = Database(archive_url)
    writes = kind == "writes"
    use = database.write if writes else partial(database.read, alone=kind == "alone")

    def work(connection: Connection) -> tuple[Any, ...]:
        return tuple(connection.execute(text("SHOW synchronous_commit")).one())

    # What has been written must not be lost with the server, whose own setting this test has switched off.
    assert await use(work) == ("local" if writes else "off",)
    name = archive_url.rpartition("/")[2]
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert await use(work) == ("local" if writes else "off",)
    # The lock of the one who writes, kept by another facade.
    engine = engine_of(archive_url)
    with engine.connect().execution_options(kind="writes") as other, other.begin():
        monkeypatch.setattr(databases, "_READ_WRITE", databases._READ_WRITE.replace("30000", "200"))
        if writes:
            with pytest.raises(HistoryUnavailable, match="did not answer in time"):
                await use(work)
        else:
            assert await use(work) == ("off",)
    assert await use(work) == ("local" if writes else "off",)
    engine.dispose()
    await database.close()
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_a_statement_that_is_alone_has_the_settings_of_a_transaction_and_leaves_none(
    archive_url: str,
) -> None:
    database = Database(archive_url)
    settings = text("SELECT current_setting('statement_timeout'), current_setting('jit'), pg_backend_pid()")

    def work(connection: Connection) -> tuple[Any, ...]:
        return tuple(connection.execute(settings).one())

    def outside(connection: Connection) -> tuple[Any, ...]:
        connection.exec_driver_sql("COMMIT")
        return work(connection)

    alone = await database.read(work, alone=True)
    assert alone[:2] == (f"{databases.READ_SECONDS:.0f}s", "off")
    assert await database.read(outside) == ("0", "on", alone[2])
    await database.close()


def health(facade: FacadeProcess) -> dict[str, object]:
    found: dict[str, object] = facade.http.get("/healthz").json()["archive"]
    return found


def archives(facade: FacadeProcess) -> bool:
    return "waiting" in health(facade)


def test_of_two_facades_one_archives_and_both_show_it_and_the_other_takes_over(kept: Kept) -> None:
    first, team = kept.served.facade, kept.team
    team.apply(a_workflow("many", history={"completed": 0}).step("one"))
    runs = [team.run("many") for _ in range(5)]
    eventually(lambda: archives(first), what="the first facade to archive")
    with replica(first) as second:
        for run in runs:
            kept.until_only_archived(run, "many")
        assert not archives(second)
        shown = second.http.get("/api/executions", params={"limit": 100}).json()
        assert shown == kept.executions(limit=100)

        runs += [team.run("many") for _ in range(5)]
        first.kill()
        eventually(lambda: archives(second), what="the second facade to archive")
        total = eventually(
            lambda: second.http.get("/api/executions", params={"limit": 100}).json(),
            until=lambda found: all("archived" in row for row in found["executions"]),
            what="all runs to be archived and pruned",
        )
        assert (total["total"], sorted(row["id"] for row in total["executions"])) == (10, sorted(runs))
        first.start()
        assert kept.executions(limit=100) == total


def test_while_the_database_is_away_live_work_goes_on_and_nothing_is_lost(
    kept: Kept, postgres: Postgres
) -> None:
    served, team = kept.served, kept.team
    team.apply(a_workflow("away", history={"completed": 0, "failed": 0}).step("one"))
    before = team.run("away")
    kept.until_only_archived(before, "away")
    postgres.kill()
    runs = [team.run("away") for _ in range(3)]
    for run in runs:
        team.until_phase(run, "Completed")
    refused = served.refused("GET", "/away/executions", code=503)
    assert "the archive's database cannot be reached" in refused["detail"]
    assert served.ask("GET", "/away/executions", source="cluster")["total"] == 3
    assert served.ask("GET", f"/away/executions/{runs[0]}")["status"] == "completed"
    served.refused("GET", f"/away/executions/{before}", code=503)
    live = served.ask("POST", "/away/execute", {}, code=201)["executionId"]
    served.ask("POST", f"/away/executions/{live}/cancel", code=202)
    assert all(team.status(run)["settled"] is False for run in runs)
    eventually(lambda: not health(served.facade)["usable"], what="the facade to say so")

    postgres.start()
    for run in (*runs, live):
        kept.until_only_archived(run, "away")
    assert kept.executions(workflow="away")["total"] == 5


def test_a_database_that_does_not_answer_holds_up_neither_live_work_nor_its_readers(
    kept: Kept, postgres: Postgres
) -> None:
    served, team = kept.served, kept.team
    team.apply(a_workflow("frozen").step("one"))
    run = team.run("frozen")
    team.until_phase(run, "Completed")
    eventually(lambda: kept.executions()["total"] == 1, what="the run to be listed")
    postgres.pause()
    began = time.monotonic()
    refused = served.refused("GET", "/frozen/executions", code=503)
    assert "did not answer in time" in refused["detail"]
    assert time.monotonic() - began < 15
    # The next one need not wait as long.
    began = time.monotonic()
    served.refused("GET", "/frozen/executions", code=503)
    assert served.ask("GET", f"/frozen/executions/{run}")["status"] == "completed"
    assert served.ask("GET", "")["total"] == 1
    assert time.monotonic() - began < 5
    postgres.resume()
    again = eventually(
        lambda: served.http.get("/api/workflows/frozen/executions"),
        until=lambda answer: answer.status_code == 200,
        what="the archive to answer again",
    )
    assert again.json()["total"] == 1


def test_a_read_only_database_is_read_and_what_waits_is_archived_later(
    kept: Kept, postgres: Postgres, archive_url: str
) -> None:
    served, team = kept.served, kept.team
    team.apply(a_workflow("fixed", history={"completed": 0}).step("one"))
    first = team.run("fixed")
    kept.until_only_archived(first, "fixed")
    name = archive_url.rpartition("/")[2]
    for switch in ("on", "off"):
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {switch}")
        others = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        postgres.execute(others)
        if switch == "on":
            second = team.run("fixed")
            team.until_phase(second, "Completed")
            eventually(
                lambda: "is read-only" in str(health(served.facade).get("detail")), what="it to be said"
            )
            assert served.ask("GET", "/fixed/executions")["total"] == 2
    kept.until_only_archived(second, "fixed")
