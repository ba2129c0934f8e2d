"""An archive of several namespaces: rows of each are found, listed and removed, and none is another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, event

from nightcrawler_api.archive import merged, rows, writing
from nightcrawler_api.archive.contract import ArchivedRevision, alias
from nightcrawler_api.archive.reading import Scope
from nightcrawler_api.state.ordering import NEWEST_FIRST, Ordering, Position
from nightcrawler_api.state.protection import Protections
from nightcrawler_api.state.runs import ExecutionQuery, Run, sort_values
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.archives import NAMESPACE, NOW, PLACE, Desk, desk, sqlite_archive
from tests.support.views import at, execution, workflow

OTHER: Final = "other"


def ended(name: str, **given: Any) -> ExecutionView:
    times = {"startTime": "2025-07-10T14:45:00Z", "completionTime": "2025-07-10T15:00:00Z"}
    return execution(name, phase="Completed", **(times | given))


async def ids(made: Desk, **query: Any) -> list[str]:
    page = await made.reader.page(ExecutionQuery(ordering=NEWEST_FIRST, **query), None, skip=0, most=100)
    assert page.total == len(page.rows)
    cached = made.cluster.index.runs
    return [one.id_beside(cached.get(one.row.namespace, one.row.name)) for one in page.rows]


async def test_rows_of_each_namespace_are_found_by_names_that_others_have_too(archive_url: str) -> None:
    async with desk(archive_url, others=[OTHER]) as made:
        for namespace, number in ((NAMESPACE, 1), (OTHER, 2)):
            run = ended(
                "run", uid=f"uid-{number}", namespace=namespace, revision="wf-1", owner=f"wf-{number}"
            )
            mine = workflow("wf", namespace=namespace, uid=f"wf-{number}", displayName=f"Of {namespace}")
            place = writing.Place(PLACE.cluster, namespace)
            await made.archive(run, used=[ArchivedRevision("wf-1", f"wf-{number}", number)])
            await made.database.write(lambda c, p=place, w=mine: writing.put_workflows(c, p, [w]))  # type: ignore[misc]
        for namespace, number in ((NAMESPACE, 1), (OTHER, 2)):
            found = await made.reader.execution(namespace, "run", None)
            assert found is not None
            assert (found.view.metadata.uid, found.workflow_name) == (f"uid-{number}", f"Of {namespace}")
            assert await made.reader.execution(namespace, "run", f"wf-{3 - number}") is None
            revision = await made.reader.revision(namespace, "wf-1")
            assert revision is not None
            assert revision.generation == number
            of_workflow = await made.reader.revisions(namespace, f"wf-{number}")
            assert (len(of_workflow.revisions), of_workflow.uses) == (1, {"wf-1": 1})
            assert not (await made.reader.revisions(namespace, f"wf-{3 - number}")).revisions
        named = await made.reader.workflow_names(
            [(NAMESPACE, "wf"), (OTHER, "wf"), (OTHER, "x"), ("y", "wf")]
        )
        assert named == {(NAMESPACE, "wf"): f"Of {NAMESPACE}", (OTHER, "wf"): f"Of {OTHER}"}
        assert await made.reader.execution("elsewhere", "run", None) is None
        figures, _ = await made.reader.figures(ExecutionQuery())
        assert sorted(one.namespace for one in figures) == [NAMESPACE, OTHER]
        page = await made.reader.page(ExecutionQuery(ordering=NEWEST_FIRST), None, skip=0, most=9)
        assert [one.order[1:] for one in page.rows] == [(OTHER, "run"), (NAMESPACE, "run")]
        assert await ids(made, namespace=OTHER) == ["run"]
        # A later run of the name in one of them is none in the other.
        made.cluster.cache_execution(execution("run", uid="uid-3", namespace=OTHER, phase="Running"))
        assert await ids(made) == [alias("run", "uid-2"), "run"]


@pytest.mark.parametrize(
    ("others", "hidden", "seen"),
    [((), None, [NAMESPACE]), ((OTHER,), None, [OTHER, NAMESPACE]), (None, "own", ["zoo", OTHER, NAMESPACE])],
)
async def test_rows_of_namespaces_that_are_not_served_are_not_seen(
    archive_url: str, others: tuple[str, ...] | None, hidden: str | None, seen: list[str]
) -> None:
    async with desk(archive_url, others=others, hidden=hidden) as made:
        for number, namespace in enumerate((NAMESPACE, OTHER, "own", "zoo")):
            await made.archive(ended(f"run-{number}", namespace=namespace))
        page = await made.reader.page(ExecutionQuery(ordering=NEWEST_FIRST), None, skip=0, most=9)
        assert sorted(one.order[1] for one in page.rows) == sorted(seen)
        assert page.total == len(seen)
        assert sorted(await made.reader.namespaces()) == sorted(seen)
        assert await made.reader.execution("own", "run-2", None) is None
        assert await ids(made, namespace="own") == []


async def test_who_sees_runs_of_one_namespace_sees_none_of_another(archive_url: str) -> None:
    async with desk(archive_url, others=[OTHER]) as made:
        for namespace in (NAMESPACE, OTHER):
            made.cluster.cache_workflow(workflow("wf", uid=f"uid-{namespace}", namespace=namespace))
            await made.archive(
                ended(f"{namespace}-1", namespace=namespace, owner=f"uid-{namespace}"),
                ended(f"{namespace}-2", namespace=namespace, owner="uid-of-gone"),
            )
        # Whoever has kubectl there can write that its owner is a workflow of another namespace.
        await made.archive(ended("forged", namespace=OTHER, owner=f"uid-{NAMESPACE}"))
        kinds = list(made.cluster.index.protections)
        teams = {one.namespace: one for one in kinds if one.visibility == "Team"}
        admins = {one.namespace: one for one in kinds if one.visibility == "Private"}
        for _ in range(2):  # the second time the totals are remembered
            assert await ids(made, seen=frozenset([teams[NAMESPACE]])) == ["default-1"]
            assert await ids(made, seen=frozenset([teams[OTHER]])) == ["other-1"]
            assert await ids(made, seen=frozenset(teams.values())) == ["other-1", "default-1"]
            assert await ids(made, seen=frozenset([teams[NAMESPACE]]), namespace=OTHER) == []
            # An administrator of a namespace sees all of it, as they see the live runs that are nobody's.
            everything = ["other-2", "other-1", "forged"]
            assert await ids(made, seen=frozenset([teams[OTHER], admins[OTHER]])) == everything
            assert await ids(made, seen=frozenset([teams[NAMESPACE], admins[OTHER]])) == [
                *everything,
                "default-1",
            ]
        figures, _ = await made.reader.figures(ExecutionQuery(seen=frozenset([teams[OTHER]])))
        assert [one.namespace for one in figures] == [OTHER]


@pytest.mark.parametrize("at_once", [2, 100])
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("field", ["createdAt", "duration"])
async def test_pages_of_several_namespaces_are_of_one_list(
    archive_url: str, monkeypatch: pytest.MonkeyPatch, at_once: int, *, descending: bool, field: str
) -> None:
    monkeypatch.setattr(merged, "_AT_ONCE", at_once)
    others = ["a-team", "z-team", "zoo"]
    async with desk(archive_url, others=others) as made:
        there = [
            # The same names in the same second, everywhere.
            ended(
                f"run-{number}",
                uid=f"{number}-{place}",
                namespace=place,
                created=f"2025-07-10T14:4{second}:00Z",
            )
            for number, second in enumerate((0, 0, 1, 1, 2))
            for place in (NAMESPACE, *others)
        ]
        await made.archive(*there)
        ordering = Ordering(field, descending)
        value = sort_values(NOW).get(field)
        runs = [Run(view, Protections().of_orphans("")) for view in there]
        runs.sort(key=lambda run: (value(run) if value else 0.0, run.order), reverse=descending)
        expected = [run.view.metadata.key for run in runs]

        async def keys(after: Position | None, skip: int) -> list[Key]:
            query = ExecutionQuery(ordering=replace(ordering, after=after))
            page = await made.reader.page(query, None, skip=skip, most=3)
            assert page.total == len(there)
            return [one.order[1:] for one in page.rows]

        for skip in range(len(there) + 1):
            assert await keys(None, skip) == expected[skip : skip + 3]
            if skip:
                last = runs[skip - 1]
                after = Position(value(last) if value else None, last.order)
                assert await keys(after, 0) == expected[skip : skip + 3]


async def test_the_newest_of_all_namespaces_are_kept_where_the_number_is_limited(archive_url: str) -> None:
    places = [PLACE, writing.Place(PLACE.cluster, OTHER), writing.Place(PLACE.cluster, "without")]
    async with desk(archive_url, others=[OTHER]) as made:
        for number in range(6):
            end, namespace = f"2025-07-10T15:0{number}:00Z", (NAMESPACE, OTHER)[number % 2]
            await made.archive(ended(f"run-{number}", completionTime=end, namespace=namespace))

        def beyond(most: int) -> Any:
            return lambda connection: writing.end_of_the_newest_beyond(connection, places, most)

        assert await made.database.read(beyond(6)) is None
        assert await made.database.read(beyond(4)) == rows.micros(at("15:01:00"))


@pytest.mark.parametrize("field", ["createdAt", "startTime", "endTime", "duration"])
async def test_a_page_of_several_namespaces_is_read_in_order_and_not_sorted(
    tmp_path: Path, field: str
) -> None:
    async with desk(sqlite_archive(tmp_path)) as made:

        def plan(connection: Connection) -> list[tuple[int, str]]:
            asked: list[tuple[str, Any]] = []

            def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
                asked.append((statement, parameters))

            event.listen(connection, "before_cursor_execute", note)
            query = ExecutionQuery(ordering=Ordering(field, descending=True))
            merged.page(
                connection, [Scope(key, str(key), query) for key in range(3)], None, skip=0, most=9, total=9
            )
            event.remove(connection, "before_cursor_execute", note)
            ((statement, parameters),) = asked
            rows_of_plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return [(row[1], row[3]) for row in rows_of_plan]

        found = await made.database.read(plan)
        searches = [
            (parent, line) for parent, line in found if "namespace_id=?" in line and "executions" in line
        ]
        assert len(searches) == 3, found
        assert all("USING COVERING INDEX" in line for _, line in searches)
        # What is sorted are the few rows of a page, and not what is searched.
        sorts = {parent for parent, line in found if "TEMP B-TREE" in line}
        assert sorts.isdisjoint(parent for parent, _ in searches), found
