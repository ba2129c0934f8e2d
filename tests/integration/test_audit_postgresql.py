"""Audit records in PostgreSQL, of two facades: what they keep, and a server that is away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import LocalCluster
from nightcrawler_api.archive.migrate import migrate
from tests.integration.test_audit import STEP, lines, records, until
from tests.support.builders import a_workflow
from tests.support.facade import FacadeProcess
from tests.support.keeping import Kept, keeping, replica
from tests.support.postgres import Postgres, postgres

# What the unit tests show of SQLite holds here too.
from tests.unit.test_audit_rows import (
    _hurry,
    office,
    test_a_facades_own_change_has_one_record_although_it_is_seen_in_the_cluster,
    test_a_record_comes_back_as_it_was_and_only_once,
    test_a_record_of_somebody_gives_way_to_the_facades_own,
    test_every_filter_finds_its_own,
    test_more_workflows_than_a_statement_has_parameters_are_taken,
    test_old_records_go_and_what_is_still_there_is_not_taken_for_new,
    test_one_request_may_change_objects_of_several_namespaces,
    test_other_namespaces_are_looked_at_like_the_home_namespace,
    test_pages_together_are_all_of_them_also_within_one_moment,
    test_what_a_namespace_has_that_is_read_late_is_no_change,
    test_what_changed_while_nobody_looked_is_found_by_the_next,
    test_what_is_about_no_object_is_for_administrators_of_everything,
    test_what_the_database_never_takes_is_counted_and_the_rest_is_kept,
    test_what_was_there_before_the_first_look_is_known_and_later_changes_are_somebodys,
    test_who_may_edit_a_workflow_sees_no_records_of_another_that_had_its_name,
)

__all__ = [
    "_hurry",
    "office",
    "postgres",
    "test_a_facades_own_change_has_one_record_although_it_is_seen_in_the_cluster",
    "test_a_record_comes_back_as_it_was_and_only_once",
    "test_a_record_of_somebody_gives_way_to_the_facades_own",
    "test_every_filter_finds_its_own",
    "test_more_workflows_than_a_statement_has_parameters_are_taken",
    "test_old_records_go_and_what_is_still_there_is_not_taken_for_new",
    "test_one_request_may_change_objects_of_several_namespaces",
    "test_other_namespaces_are_looked_at_like_the_home_namespace",
    "test_pages_together_are_all_of_them_also_within_one_moment",
    "test_what_a_namespace_has_that_is_read_late_is_no_change",
    "test_what_changed_while_nobody_looked_is_found_by_the_next",
    "test_what_is_about_no_object_is_for_administrators_of_everything",
    "test_what_the_database_never_takes_is_counted_and_the_rest_is_kept",
    "test_what_was_there_before_the_first_look_is_known_and_later_changes_are_somebodys",
    "test_who_may_edit_a_workflow_sees_no_records_of_another_that_had_its_name",
]

WRITES = 30


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
def kept(cluster: LocalCluster, archive_url: str, tmp_path: Path) -> Iterator[Kept]:
    with keeping(cluster, tmp_path, archive_url) as made:
        yield made


@pytest.mark.usefixtures("nodes")
def test_of_two_facades_each_request_has_one_row_also_if_the_server_dies_and_nothing_of_theirs_is_somebodys(
    kept: Kept, postgres: Postgres
) -> None:
    with replica(kept.served.facade) as other:
        both: tuple[FacadeProcess, FacadeProcess] = (kept.served.facade, other)
        for number in range(WRITES):
            if number == WRITES // 3:
                postgres.kill()
            body = {"name": f"number {number}", "steps": [STEP]}
            key = {"Idempotency-Key": f"key-{number // 2}"}  # each is sent twice, with another body
            answer = both[number % 2].http.post("/api/workflows", json=body, headers=key)
            assert answer.status_code == (422 if number % 2 else 201), answer.text
        postgres.start()
        until(kept, WRITES)
        # The marker is looked at after all of them.
        kept.team.apply(a_workflow("marker").step("a"))
        until(kept, 1, name="marker")
        found = [one for one in records(kept) if one["object"].get("name") != "marker"]
        written = {line["id"] for line in lines(kept) if line["origin"] == "rest"}
        assert len(written) == WRITES // 2, "each facade has the lines of its own requests"
    assert Counter(one["status"] for one in found) == {201: WRITES // 2, 422: WRITES // 2}
    assert {one["origin"] for one in found} == {"rest"}
    assert len({one["requestId"] for one in found}) == WRITES
