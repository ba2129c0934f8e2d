"""Audit records as rows: one each, found by every filter, and those of others beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from nightcrawler_api.archive import records as module
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.records import SqlRecords
from nightcrawler_api.archive.tables import audit_marks
from nightcrawler_api.audit import others
from nightcrawler_api.audit.contract import RecordQuery, Within
from nightcrawler_api.audit.record import Mark, Origin, Record, Subject
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import clock
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import ANNOTATION_CANCELLED_BY, EXECUTIONS
from tests.support.archives import NAMESPACE, NOW
from tests.support.builders import an_execution
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore
from tests.support.views import execution, workflow

YEAR = 365 * 24 * 3600.0


class Office:
    """A facade's records, and the cache of what they are about."""

    def __init__(self, url: str, keep_seconds: float = 10 * YEAR, others: Sequence[str] | None = ()) -> None:
        self.server = ModelServer()
        store = ModelStore(self.server)
        self.cluster = ClusterCache(store, NAMESPACE, others)
        for informer in self.cluster._informers:
            informer.synced.set()
        self.database = Database(url)
        self.lines: list[Record] = []
        self.records = SqlRecords(store, self.cluster, self.database, keep_seconds, self.lines.append)
        self.records.identify("uid-of-the-cluster")

    async def all(self, **query: Any) -> list[Record]:
        return [one.record for one in await self.records.page(RecordQuery(**query), 100)]

    async def count(self, table: Any) -> int:
        counted = select(func.count()).select_from(table)
        return int(await self.database.read(lambda connection: connection.execute(counted).scalar_one()))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """While it is this one's turn to look at what others do."""
        work = asyncio.create_task(self.records.work())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def until(self, count: int, most: int = 100) -> list[Record]:
        """All records, once there are so many."""
        for _ in range(600):
            if count <= len(found := await self.all()) <= most:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"there are {len(found)} records, not {count}: {found}")

    async def until_begun(self, places: int = 1) -> None:
        """Wait for the first look at what others do, in so many namespaces."""
        begun = select(func.count()).select_from(audit_marks).where(audit_marks.c.change == "begun")
        for _ in range(600):
            if await self.database.read(lambda connection: connection.execute(begun).scalar_one()) >= places:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("nobody looks at what others do")


@pytest.fixture
async def office(archive_url: str) -> AsyncIterator[Office]:
    made = Office(archive_url)
    yield made
    await made.database.close()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(module, "_BACKOFF_FIRST", 0.02)


def a_record(number: int = 1, **given: Any) -> Record:
    subject = Subject("Workflow", NAMESPACE, f"w{number}", f"w{number}", f"u{number}")
    usual: dict[str, Any] = {
        "id": f"r{number}",
        "time": NOW + timedelta(seconds=number),
        "caller": "ann",
        "caller_id": "https://idp#1",
        "roles": ("a", "b"),
        "action": "workflows.update",
        "subject": subject,
        "old": {"x": None},
        "new": {"x": [1, "grün"]},
        "status": 200,
        "request_id": f"q{number}",
        "marks": (Mark(NAMESPACE, subject.uid, "2"),),
    }
    return Record(**(usual | given))


def shown(record: Record) -> Record:
    """A record as it comes back: its marks are not shown."""
    return replace(record, marks=())


async def test_a_record_comes_back_as_it_was_and_only_once(office: Office) -> None:
    record = a_record()
    bare = Record(id="bare", time=NOW, caller="unknown", action="POST /x", subject=Subject(), allowed=False)
    for _ in range(2):
        assert await office.records.add([record, bare]) == 0
    assert await office.all() == [shown(record), bare]


async def test_every_filter_finds_its_own(office: Office) -> None:
    first = a_record(1)
    run = Subject("WorkflowExecution", NAMESPACE, "e", "w1", "ue")
    second = a_record(2, caller="bob", action="executions.create", subject=run, marks=())
    third = a_record(3, allowed=False, status=403)
    await office.records.add([first, second, third])
    for query, expected in (
        ({"caller": "bob"}, [second]),
        ({"action": "workflows.update"}, [third, first]),
        ({"kind": "WorkflowExecution"}, [second]),
        ({"name": (NAMESPACE, "e")}, [second]),
        ({"name": ("elsewhere", "e")}, []),
        ({"workflow": (NAMESPACE, "w1")}, [second, first]),
        ({"request_id": "q3"}, [third]),
        ({"allowed": False}, [third]),
        ({"allowed": True, "caller": "ann"}, [first]),
        ({"begin": second.time}, [third, second]),
        ({"end": second.time}, [first]),
        ({"caller": "nobody"}, []),
        ({"within": Within(workflows={NAMESPACE: frozenset(("w1", "w9"))})}, [second, first]),
        ({"within": Within(workflows={"elsewhere": frozenset(("w1",))})}, []),
        ({"within": Within(frozenset((NAMESPACE,)))}, [third, second, first]),
        ({"within": Within(frozenset(("elsewhere",)))}, []),
        ({"within": Within()}, []),
    ):
        assert await office.all(**query) == [shown(record) for record in expected], query


async def test_who_may_edit_a_workflow_sees_no_records_of_another_that_had_its_name(office: Office) -> None:
    subject = Subject("Workflow", NAMESPACE, "w", "w")
    run = Subject("WorkflowExecution", NAMESPACE, "e", "w")

    def record(number: int, action: str, about: Subject, **given: Any) -> Record:
        return a_record(number, action=action, subject=replace(about, uid=f"u{number}"), marks=(), **given)

    theirs = [
        record(1, "workflows.create", subject),
        record(2, "executions.create", run),
        record(3, "workflows.delete", subject),
    ]
    own = [
        record(4, "workflows.import", subject),
        record(5, "workflows.delete", subject, allowed=False, status=403),
        record(6, "executions.create", run),
    ]
    await office.records.add([*theirs, *own])
    single = Within(workflows={NAMESPACE: frozenset(("w",))})
    assert await office.all(within=single) == [shown(one) for one in reversed(own)]
    whole = Within(frozenset((NAMESPACE,)))
    assert await office.all(within=whole) == [shown(one) for one in reversed([*theirs, *own])]


async def test_more_workflows_than_a_statement_has_parameters_are_taken(office: Office) -> None:
    await office.records.add([a_record(1), a_record(2)])
    many = frozenset(f"w{number}" for number in range(1, 40_000) if number != 2)
    found = await office.all(within=Within(workflows={NAMESPACE: many, "other": many}))
    assert [one.id for one in found] == ["r1"]


async def test_what_is_about_no_object_is_for_administrators_of_everything(office: Office) -> None:
    refused = a_record(1, subject=Subject(), marks=(), allowed=False, status=401)
    await office.records.add([refused])
    assert await office.all() == [shown(refused)]
    assert await office.all(within=Within(frozenset((NAMESPACE,)))) == []


async def test_one_request_may_change_objects_of_several_namespaces(office: Office) -> None:
    marks = (Mark(NAMESPACE, "u1", "cancelled"), Mark("vision", "u2", "cancelled"))
    own = a_record(1, action="executions.cancelMany", subject=Subject("WorkflowExecution"), marks=marks)
    await office.records.add([own])
    guessed = [
        a_record(
            number,
            subject=Subject("WorkflowExecution", mark.namespace, "e", "w", mark.uid),
            origin=Origin.CLUSTER,
            marks=(mark,),
        )
        for number, mark in enumerate(marks, 2)
    ]
    await office.records.add(guessed)
    assert [one.id for one in await office.all()] == ["r1"]


async def test_pages_together_are_all_of_them_also_within_one_moment(office: Office) -> None:
    await office.records.add([a_record(n, time=NOW, marks=()) for n in range(25)])
    seen: list[str] = []
    position = None
    while page := await office.records.page(RecordQuery(before=position), 10):
        seen += [one.record.id for one in page]
        position = page[-1].position
    assert seen == [f"r{n}" for n in reversed(range(25))]


async def test_a_record_of_somebody_gives_way_to_the_facades_own(office: Office) -> None:
    own = a_record()
    guessed = replace(own, id="u1/2", caller="unknown", origin=Origin.CLUSTER)
    await office.records.add([guessed])
    await office.records.add([own])
    await office.records.add([replace(guessed, id="again")])
    assert await office.all() == [shown(own)]
    assert await office.count(audit_marks) == 1


async def test_what_the_database_never_takes_is_counted_and_the_rest_is_kept(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = a_record(2, status=2**70)
    assert await office.records.add([a_record(1), bad, a_record(3)]) == 1
    assert [record.id for record in await office.all()] == ["r3", "r1"]


async def test_before_the_cluster_is_known_nothing_can_be_kept(archive_url: str) -> None:
    made = Office(archive_url)
    made.records.identify("")
    with pytest.raises(HistoryUnavailable):
        await made.records.add([a_record()])
    await made.database.close()


# --- others ------------------------------------------------------------------------------------------


async def test_what_was_there_before_the_first_look_is_known_and_later_changes_are_somebodys(
    office: Office,
) -> None:
    office.cluster.cache_workflow(workflow("old", uid="old"))
    async with office.working():
        await office.until_begun()
        office.cluster.cache_workflow(workflow("new", uid="new", version=2))
        office.cluster.cache_execution(execution("e", uid="e", of="new", version=3))
        found = await office.until(2)
    assert {(one.action, one.caller, one.subject.name) for one in found} == {
        ("workflows.create", "unknown", "new"),
        ("executions.create", "unknown", "e"),
    }
    assert {one.id for one in office.lines} == {one.id for one in found}, "the line comes first"


async def test_a_facades_own_change_has_one_record_although_it_is_seen_in_the_cluster(office: Office) -> None:
    async with office.working():
        await office.until_begun()
        # In this order, so that no grace period has to be long enough.
        await office.records.add([a_record(1, marks=(Mark(NAMESPACE, "u1", "0"),))])
        office.cluster.cache_workflow(workflow("w1", uid="u1"))
        office.cluster.cache_workflow(workflow("other", uid="other", version=2))
        found = await office.until(2)
    assert {one.caller for one in found} == {"ann", "unknown"}
    assert len(office.lines) == 1


@pytest.mark.parametrize("others_served", [("vision",), None], ids=["named", "all"])
async def test_other_namespaces_are_looked_at_like_the_home_namespace(
    archive_url: str, others_served: Sequence[str] | None
) -> None:
    office = Office(archive_url, others=others_served)
    office.cluster.cache_workflow(workflow("old", uid="old", namespace="vision"))
    async with office.working():
        await office.until_begun(2)
        own = Mark("vision", "own", "0")
        subject = Subject("Workflow", "vision", "own", "own", "own")
        await office.records.add([a_record(1, subject=subject, marks=(own,))])
        office.cluster.cache_workflow(workflow("own", uid="own", namespace="vision"))
        office.cluster.cache_workflow(workflow("new", uid="new", namespace="vision", version=2))
        office.cluster.cache_workflow(workflow("at-home", uid="at-home", version=3))
        found = await office.until(3)
    await office.database.close()
    assert {(one.caller, one.subject.namespace, one.subject.name) for one in found} == {
        ("ann", "vision", "own"),
        ("unknown", "vision", "new"),
        ("unknown", NAMESPACE, "at-home"),
    }


async def test_what_a_namespace_has_that_is_read_late_is_no_change(archive_url: str) -> None:
    office = Office(archive_url, others=("vision",))
    late = (office.cluster._workflows["vision"], office.cluster._executions["vision"])
    for informer in late:
        informer.synced.clear()
    async with office.working():
        await office.until_begun()
        office.cluster.cache_workflow(workflow("old", uid="old", namespace="vision"))
        for informer in late:
            informer.synced.set()
        await office.until_begun(2)
        office.cluster.cache_workflow(workflow("new", uid="new", namespace="vision", version=2))
        found = await office.until(1)
    await office.database.close()
    assert [one.subject.name for one in found] == ["new"]


async def test_what_changed_while_nobody_looked_is_found_by_the_next(archive_url: str) -> None:
    first = Office(archive_url)
    first.cluster.cache_workflow(workflow("gone", uid="gone"))
    async with first.working():
        await first.until_begun()
        first.cluster.cache_workflow(workflow("seen", uid="seen", version=2))
        await first.until(1)
    await first.database.close()
    second = Office(archive_url)
    second.cluster.cache_workflow(workflow("gone", uid="gone"))
    second.cluster.cache_workflow(workflow("missed", uid="missed", version=3))
    async with second.working():
        found = await second.until(3)
    await second.database.close()
    assert [(one.action, one.subject.name) for one in found].count(("workflows.create", "missed")) == 1
    assert ("workflows.delete", "seen") in {(one.action, one.subject.name) for one in found}
    assert len(found) == 3


async def test_that_runs_go_with_their_workflow_is_no_change_of_somebodys(office: Office) -> None:
    async with office.working():
        await office.until_begun()
        one, other = workflow("w", uid="w"), workflow("stays", uid="stays")
        runs = [execution("e", uid="e", of="w"), execution("f", uid="f", of="stays")]
        for view in (one, other):
            office.cluster.cache_workflow(view)
        for run in runs:
            office.cluster.cache_execution(run)
        await office.until(4)
        for run in runs:
            office.cluster.mark_execution_deleted(run)
        office.cluster.mark_workflow_deleted(one)
        found = await office.until(6)
    deleted = {(record.action, record.subject.name) for record in found if "delete" in record.action}
    assert deleted == {("workflows.delete", "w"), ("executions.delete", "f")}


async def test_a_run_that_the_schedule_cancels_for_the_next_is_the_schedules(office: Office) -> None:
    async with office.working():
        await office.until_begun()
        for name, annotations in (("by-schedule", {ANNOTATION_CANCELLED_BY: "schedule"}), ("by-hand", {})):
            made = an_execution("w", name).with_metadata(namespace=NAMESPACE, annotations=annotations)
            stored = office.server.create(EXECUTIONS, made.manifest())
            office.cluster.cache_execution(from_body(stored, ExecutionView))
            cancelled = office.server.patch(EXECUTIONS, (NAMESPACE, name), {"spec": {"cancel": True}}, "")
            office.cluster.cache_execution(from_body(cancelled, ExecutionView))
        found = await office.until(4)
    callers = {one.subject.name: one.caller for one in found if one.action == "executions.cancel"}
    assert callers == {"by-schedule": "schedule", "by-hand": "unknown"}


# --- retention ---------------------------------------------------------------------------------------


async def test_old_records_go_and_what_is_still_there_is_not_taken_for_new(
    archive_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(archive_url, keep_seconds=3600.0)
    old, new = clock.utcnow() - timedelta(hours=2), clock.utcnow()
    office.cluster.cache_workflow(workflow("w1", uid="u1"))
    records: Sequence[Record] = [
        a_record(1, time=old, marks=(Mark(NAMESPACE, "u1", "0"),)),
        a_record(2, time=old),
        a_record(3, time=new),
    ]
    await office.records.add(records)
    async with office.working():
        await office.until_begun()
        await office.until(1, most=1)
        await asyncio.sleep(0.5)  # a grace period and more, in which nothing is to happen
        assert [record.id for record in await office.all()] == ["r3"]
    marks = select(audit_marks.c.uid).where(audit_marks.c.change != "begun")
    left = await office.database.read(lambda connection: set(connection.execute(marks).scalars()))
    await office.database.close()
    assert {"u1", "u3"} <= left
    assert "u2" not in left
