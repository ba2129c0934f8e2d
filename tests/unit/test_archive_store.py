"""What the archive keeps: rows of runs and what they lead back to, retention, names that come twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, func, select

from nightcrawler_api.archive import reading, rows, tables, writing
from nightcrawler_api.archive.contract import ArchivedRevision, alias
from nightcrawler_api.executions import archived
from nightcrawler_api.executions.archived import Beside
from nightcrawler_api.executions.presenter import Named
from nightcrawler_api.state.ordering import NEWEST_FIRST
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds import names
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import ExecutionView
from tests.support import fullobjects
from tests.support.archives import NAMESPACE, NOW, PLACE, Desk, desk, sqlite_archive
from tests.support.views import at, execution, workflow

TEXT = st.text(max_size=20)
BESIDE = Beside("run", archived=False, workflow=Named("Training", deleted=False))


def ended(name: str, phase: str = "Completed", **given: Any) -> ExecutionView:
    times = {"startTime": "2025-07-10T14:45:00Z", "completionTime": "2025-07-10T15:00:00Z"}
    return execution(name, phase=phase, **(times | given))


def counted(table: Any) -> Any:
    return lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()


async def ids(made: Desk, **query: Any) -> list[str]:
    page = await made.reader.page(ExecutionQuery(ordering=NEWEST_FIRST, **query), None, skip=0, most=100)
    assert page.total == len(page.rows)
    cached = made.cluster.index.runs
    return [one.id_beside(cached.get(NAMESPACE, one.row.name)) for one in page.rows]


@given(
    st.dictionaries(TEXT.filter(bool), st.sampled_from(["Completed", "Failed", "Skipped"]), max_size=4),
    st.dictionaries(
        st.from_regex("[a-z]{1,5}", fullmatch=True), TEXT | st.integers() | st.none(), max_size=3
    ),
    TEXT,
    st.sampled_from(["Completed", "Failed", "Cancelled"]),
)
def test_an_execution_comes_back_as_it_was(
    steps: dict[str, str], parameters: dict[str, Any], message: str, phase: str
) -> None:
    began, done = "2025-07-10T14:45:00.123456Z", "2025-07-10T14:55:25Z"
    failed = {"number": 1, "startTime": began, "completionTime": done, "reason": "OOMKilled", "node": "n"}
    failed["events"] = [{"time": done, "reason": "Pulled", "message": message}]
    times = {"startTime": began, "completionTime": done, "earlierSeconds": 625, "attempts": [failed]}
    times["usage"] = {"cpu": {"average": 48, "peak": 120}, "gpu": {"average": 0, "peak": 1}}
    status = {name: {"phase": phase, "attempt": 2, "exitCode": 137, **times} for name, phase in steps.items()}
    rest = {
        "cost": {"amount": 1.25, "currency": "EUR"},
        "resourceUsage": {"cpu": 48, "memory": 0},
        "placement": [{"environment": "here", "cost": 1.5}, {"environment": "there", "passedOver": message}],
        "traceLevel": "debug",
    }
    spec = {
        "parameters": parameters,
        "executor": "Jane",
        "environment": "here",
        "trigger": {"type": "Schedule", "scheduledTime": began},
    }
    view = ended(
        "run", phase, message=message, steps=status, progress="1/2", spec=spec, owner="uid-of-wf", **rest
    )
    made = [SimpleNamespace(**row) for row in rows.step_rows(view, ())]
    back = rows.whole(rows.document_of(view), made)
    clean = {rows.storable(name): step for name, step in view.status.steps.items()}
    assert back == msgspec.structs.replace(view, status=msgspec.structs.replace(view.status, steps=clean))


def test_whatever_is_recorded_of_a_run_comes_back() -> None:
    view = from_body(fullobjects.execution(), ExecutionView)
    made = [SimpleNamespace(**row) for row in rows.step_rows(view, ())]
    assert rows.whole(rows.document_of(view), made) == view


def test_steps_are_in_the_order_of_what_ran() -> None:
    view = ended("run", steps={name: {"phase": "Completed"} for name in ("a", "b", "c")})
    assert [row["name"] for row in rows.step_rows(view, ("c", "a"))] == ["c", "a", "b"]


async def test_what_is_archived_twice_has_one_row_and_the_revision_of_its_run(archive_url: str) -> None:
    async with desk(archive_url) as made:
        run = ended("run", revision="wf-1", steps={"one": {"phase": "Completed"}})
        content = {"steps": [{"name": "one"}]}
        used = [ArchivedRevision("wf-1", "uid-of-wf-1001", 3, at("14:00:00"), content)]
        assert [await made.archive(run, run, used=used) for _ in range(2)] == [1, 0]
        for table in (tables.executions, tables.steps, tables.revisions):
            assert await made.database.read(counted(table)) == 1
        assert await made.reader.revision(NAMESPACE, "wf-1") == used[0]
        assert await made.reader.revision(NAMESPACE, "wf-2") is None
        found = await made.reader.execution(NAMESPACE, "run", None)
        assert found is not None
        assert (found.view, found.order) == (run, ("one",))


async def test_lists_show_what_a_run_has_cost(archive_url: str) -> None:
    async with desk(archive_url) as made:
        await made.archive(
            ended("a", cost={"amount": 0.1, "currency": "EUR"}), ended("b", cost={"amount": 2}), ended("c")
        )
        page = await made.reader.page(ExecutionQuery(), None, skip=0, most=10)
        shown = {one.row.name: archived.row(one.row, BESIDE, "").get("cost") for one in page.rows}
        assert shown == {"a": {"amount": 0.1, "currency": "EUR"}, "b": {"amount": 2.0}, "c": None}


@pytest.mark.parametrize("others", [(), ("a-team",)], ids=["one namespace", "two"])
async def test_lists_show_every_text_and_amount_as_it_is(archive_url: str, others: Sequence[str]) -> None:
    text = 'it said "no", [1], {}\n\tat \u2028 \U0001f600 \\'
    async with desk(archive_url, others=others) as made:
        for namespace in (NAMESPACE, *others):
            cost = {"amount": 0.1 + 0.2, "currency": "null"}
            run = ended(
                "a",
                "Failed",
                namespace=namespace,
                spec={"executor": "null"},
                message=text,
                cost=cost,
                progress="1/3",
            )
            await made.archive(run)
        page = await made.reader.page(ExecutionQuery(), None, skip=0, most=10)
        assert len(page.rows) == 1 + len(others)
        assert {one.row.namespace for one in page.rows} == {NAMESPACE, *others}
        for one in page.rows:
            assert (one.row.message, one.row.progress) == (text, "1/3")
            assert (one.row.cost, one.row.currency, one.row.executor) == (0.1 + 0.2, "null", "null")


async def test_lists_and_details_show_what_a_run_has_used(archive_url: str) -> None:
    step = {
        "phase": "Completed",
        "attempt": 1,
        "startTime": "2025-07-10T14:00:00Z",
        "completionTime": "2025-07-10T14:01:00Z",
        "usage": {"cpu": {"average": 48, "peak": 120}},
    }
    async with desk(archive_url) as made:
        run = ended("a", steps={"one": step}, resourceUsage={"cpu": 48, "gpu": 0})
        await made.archive(run, ended("b"))
        page = await made.reader.page(ExecutionQuery(), None, skip=0, most=10)
        shown = {one.row.name: archived.row(one.row, BESIDE, "").get("resourceUsage") for one in page.rows}
        assert shown == {"a": {"cpu": 48, "gpu": 0}, "b": None}
        found = await made.reader.execution(NAMESPACE, "a", None)
        assert found is not None
        assert found.view == run


async def test_the_revisions_of_a_workflow_come_with_the_number_of_runs_that_used_them(
    archive_url: str,
) -> None:
    async with desk(archive_url) as made:
        mine = [ArchivedRevision(f"wf-{number}", "uid", number, at("14:00:00")) for number in (1, 2)]
        other = ArchivedRevision("other-1", "uid-of-other", data={"steps": []})
        runs = [ended(f"run-{number}", revision="wf-1") for number in range(3)]
        runs += [ended("last", revision="wf-2"), ended("foreign", revision="other-1")]
        await made.archive(*runs, used=[*mine, other])
        found = await made.reader.revisions(NAMESPACE, "uid")
        assert sorted(found.revisions, key=lambda one: one.name) == mine
        assert (found.uses, found.upto) == ({"wf-1": 3, "wf-2": 1}, 5)
        nothing = await made.reader.revisions(NAMESPACE, "nobody")
        assert (nothing.revisions, nothing.uses) == ([], {})


async def test_an_execution_whose_name_a_later_one_has_keeps_an_id_of_its_own(archive_url: str) -> None:
    async with desk(archive_url) as made:
        first = ended("run", uid="aaaaaaaa-1", created="2025-07-10T14:00:00Z")
        second = ended("run", uid="bbbbbbbb-2", created="2025-07-10T14:30:00Z")
        await made.archive(second)
        await made.archive(first)
        assert await ids(made) == ["run", alias("run", "aaaaaaaa-1")]
        for identifier, uid in (("run", "bbbbbbbb-2"), ("run.aaaaaaaa", "aaaaaaaa-1")):
            found = await made.reader.execution(NAMESPACE, identifier, None)
            assert found is not None
            assert found.view.metadata.uid == uid
        # The cluster has a third one of that name: now it alone is called so.
        made.cluster.cache_execution(execution("run", uid="cccccccc-3", phase="Running"))
        assert await ids(made) == [alias("run", "bbbbbbbb-2"), alias("run", "aaaaaaaa-1")]


async def test_filters_are_those_of_the_cached_list(archive_url: str) -> None:
    async with desk(archive_url) as made:
        await made.archive(
            ended("a", environment="here", owner="uid-of-wf", spec={"executor": "Jane"}),
            ended("b", "Failed", spec={"executor": ""}, startTime="2025-07-10T14:50:00Z"),
            ended("c", environment="there", of="other", owner="uid-of-other"),
        )
        present = [workflow("wf", uid="uid-of-wf", tags=["x", "y"]), workflow("other", tags=["x"])]
        await made.database.write(lambda c: writing.put_workflows(c, PLACE, present))
        assert await ids(made, status="failed") == ["b"]
        assert await ids(made, environments=frozenset(("here", "there"))) == ["c", "a"]
        assert await ids(made, executors=frozenset(("Jane",))) == ["a"]
        assert await ids(made, executors=frozenset(("anonymous", None))) == ["c", "b"]
        assert await ids(made, workflow=(made.cluster.namespace, "other")) == ["c"]
        assert await ids(made, tags=frozenset("x")) == ["c", "a"]
        assert await ids(made, tags=frozenset("xy")) == ["a"]
        assert await ids(made, begin=at("14:46:00").timestamp()) == ["b"]
        assert await ids(made, end=at("14:46:00").timestamp()) == ["c", "a"]


async def test_archived_runs_are_of_those_who_see_their_workflow_now_and_else_of_nobody(
    archive_url: str,
) -> None:
    async with desk(archive_url) as made:
        await made.archive(
            ended("a", owner="uid-of-wf"),
            ended("b", of="other", owner="uid-of-other"),
            ended("c", of="other", owner="uid-of-an-earlier-other"),
            ended("d", of="gone", owner="uid-of-gone"),
        )
        by_jane = {names.ANNOTATION_CREATOR_ID: "issuer#jane"}
        private = {"security": {"visibility": "Private"}}
        made.cluster.cache_workflow(workflow("wf", annotations=by_jane, config=private))
        made.cluster.cache_workflow(workflow("other", config={"security": {"visibility": "Public"}}))
        kinds = list(made.cluster.index.protections)
        public = frozenset(one for one in kinds if one.visibility == "Public")
        known = frozenset(entry.protection for entry in made.cluster.index.workflows())
        for _ in range(2):  # the second time the totals are remembered
            assert await ids(made, seen=public) == ["b"]
            assert await ids(made, seen=frozenset()) == []
            assert await ids(made) == ["d", "c", "b", "a"]
            assert await ids(made, seen=known) == ["b", "a"]
            assert await ids(made, seen=frozenset(kinds)) == ["d", "c", "b", "a"]  # an administrator's
            assert await ids(made, seen=public, workflow=(made.cluster.namespace, "gone")) == []
            assert await ids(made, workflow=("elsewhere", "other")) == []
        figures, _ = await made.reader.figures(ExecutionQuery(seen=public))
        assert [one.workflow for one in figures] == ["other"]
        # What was counted for one who saw it is not for another, nor for the same after a change.
        made.cluster.cache_workflow(
            workflow("other", version=2, config={"security": {"visibility": "Private"}})
        )
        assert await ids(made, seen=public) == []


async def test_workflows_are_replaced_and_stay_when_they_are_deleted(archive_url: str) -> None:
    async with desk(archive_url) as made:

        def change(connection: Connection) -> dict[str, int]:
            writing.put_workflows(
                connection, PLACE, [workflow("wf", displayName="Old", tags=["a", "a", "b"])]
            )
            writing.put_workflows(connection, PLACE, [workflow("wf", displayName="New", tags=["b"])])
            before = writing.known_workflows(connection, PLACE)
            writing.mark_workflows_deleted(connection, PLACE, before, NOW)
            assert not writing.known_workflows(connection, PLACE)
            return before

        assert list(await made.database.write(change)) == ["uid-of-wf"]
        assert await made.reader.workflow_names([(NAMESPACE, "wf"), (NAMESPACE, "other")]) == {
            (NAMESPACE, "wf"): "New"
        }
        assert await made.database.read(counted(tables.workflow_tags)) == 1


async def removed(made: Desk, keep: set[str] = frozenset(), most: int = 2) -> int:  # type: ignore[assignment]
    before, after, count = at("15:00:00") + timedelta(seconds=1), (0, 0), 0
    while True:
        step = await made.database.write(
            lambda c, a=after: writing.remove_runs(c, PLACE, before, a, keep, most)  # type: ignore[misc]
        )
        count += step.removed
        if step.after is None:
            return count
        after = step.after


async def test_what_is_too_old_goes_but_not_what_the_cluster_still_has(archive_url: str) -> None:
    async with desk(archive_url) as made:
        old = [ended(f"old-{number}", revision="gone", owner="uid-of-gone") for number in range(5)]
        new = ended(
            "new", completionTime="2025-07-10T16:00:00Z", revision="kept", steps={"a": {"phase": "Failed"}}
        )
        used = [ArchivedRevision(name, "uid") for name in ("gone", "kept")]
        await made.archive(*old, new, used=used)
        gone = workflow("wf-1001", uid="uid-of-gone")
        await made.database.write(lambda c: writing.put_workflows(c, PLACE, [gone]))
        await made.database.write(lambda c: writing.mark_workflows_deleted(c, PLACE, ["uid-of-gone"], NOW))
        assert len(await ids(made)) == 6

        assert await removed(made, keep={"uid-of-old-2"}) == 4
        await made.database.write(lambda c: writing.remove_unused(c, PLACE))
        assert await ids(made) == ["old-2", "new"]
        assert await made.database.read(counted(tables.workflows)) == 1
        assert await removed(made) == 1
        await made.database.write(lambda c: writing.remove_unused(c, PLACE))
        for table, left in (
            (tables.executions, 1),
            (tables.steps, 1),
            (tables.revisions, 1),
            (tables.workflows, 0),
        ):
            assert await made.database.read(counted(table)) == left


async def test_the_newest_are_kept_where_the_number_is_limited(archive_url: str) -> None:
    async with desk(archive_url) as made:
        await made.archive(*(ended(f"run-{n}", completionTime=f"2025-07-10T15:0{n}:00Z") for n in range(4)))

        def beyond(most: int) -> Any:
            return lambda connection: writing.end_of_the_newest_beyond(connection, [PLACE], most)

        assert await made.database.read(beyond(4)) is None
        assert await made.database.read(beyond(3)) == rows.micros(at("15:00:00"))


async def test_rows_of_other_clusters_and_namespaces_are_not_seen(archive_url: str) -> None:
    async with desk(archive_url) as made:
        others = [writing.Place("another", PLACE.namespace), writing.Place(PLACE.cluster, "another")]
        for place in others:
            run = writing.EndedRun(ended("run"))
            await made.database.write(lambda c, p=place, r=run: writing.add_runs(c, p, [r], (), NOW))  # type: ignore[misc]
        assert await ids(made) == []
        await made.archive(ended("run"))
        assert await ids(made) == ["run"]


@pytest.mark.parametrize("text", ["\x00", "a\x00b"])
async def test_a_text_that_postgresql_does_not_take_is_stored_without_what_it_refuses(
    archive_url: str, text: str
) -> None:
    async with desk(archive_url) as made:
        await made.archive(
            ended("run", "Failed", message=text, steps={text: {"phase": "Failed", "message": text}})
        )
        page = await made.reader.page(ExecutionQuery(), None, skip=0, most=1)
        assert page.rows[0].row.message == text.replace("\x00", "\ufffd")


async def test_statistics_are_read_from_an_index_alone(tmp_path: Path) -> None:
    async with desk(sqlite_archive(tmp_path)) as made:

        def plans(connection: Connection) -> list[str]:
            asked: list[tuple[str, Any]] = []

            def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
                asked.append((statement, parameters))

            event.listen(connection, "before_cursor_execute", note)
            for query in (ExecutionQuery(), ExecutionQuery(begin=1.0), ExecutionQuery(begin=1.0, end=2.0)):
                reading.figures(connection, 1, query)
            event.remove(connection, "before_cursor_execute", note)
            return [
                connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).one()[3]
                for statement, parameters in asked
            ]

        for plan in await made.database.read(plans):
            assert "USING COVERING INDEX ix_executions_started" in plan
