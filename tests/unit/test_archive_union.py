"""Lists over the cache and the archive: one list, whatever is where, and wherever it is cut."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from nightcrawler_api.archive import merged
from nightcrawler_api.archive.contract import ArchivedRun
from nightcrawler_api.executions.union import Listed, part_of_both
from nightcrawler_api.state.ordering import NEWEST_FIRST, Ordering, Part
from nightcrawler_api.state.protection import Protections
from nightcrawler_api.state.runs import ExecutionQuery, Run, sort_values
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.archives import NAMESPACE, Desk, desk, sqlite_archive
from tests.support.views import at, execution

NOW = at("15:30:00")
ENDED = ("Completed", "Failed", "Cancelled")
OTHERS = ("a-team", "z-team")
"""Before and after the home namespace by their names."""


@dataclass(frozen=True)
class Case:
    """An execution, and where it is: `cached`, `archived`, both, or archived after the first read."""

    view: ExecutionView
    cached: bool
    archived: bool
    later: bool


def _clock(seconds: int) -> str:
    return f"2025-07-10T15:{seconds // 60:02}:{seconds % 60:02}Z"


@st.composite
def cases(draw: st.DrawFn) -> list[Case]:
    found, several = [], draw(st.booleans())
    for number in range(draw(st.integers(0, 25))):
        phase = draw(st.sampled_from(["", "Running", *ENDED, *ENDED]))
        created = draw(st.integers(0, 4))
        status: dict[str, Any] = {"phase": phase}
        if phase and draw(st.booleans()):
            status["startTime"] = _clock(created + draw(st.integers(0, 3)))
        if phase in ENDED:
            status["completionTime"] = _clock(created + 3 + draw(st.integers(0, 3)))
        # The same names in several namespaces, in the same second.
        view = execution(
            f"run-{number // 3 if several else number:02}",
            uid=f"uid-{number}",
            namespace=(NAMESPACE, *OTHERS)[number % 3 if several else 0],
            created=_clock(created),
            of=draw(st.sampled_from("ab")),
            **status,
        )
        archived = phase in ENDED and draw(st.booleans())
        found.append(Case(view, not archived or draw(st.booleans()), archived, draw(st.booleans())))
    return found


async def filled(made: Desk, there: Sequence[Case]) -> None:
    """Cache and archive them: some, then a read, then the others."""
    for later in (False, True):
        now = [case for case in there if case.later is later]
        for case in now:
            if case.cached:
                made.cluster.cache_execution(case.view)
        if ended := [case.view for case in now if case.archived]:
            await made.archive(*ended)
        if not later:
            await made.reader.refresh()


async def asked(made: Desk, query: ExecutionQuery, offset: int, limit: int) -> Part[Listed]:
    index = made.cluster.index
    return await part_of_both(
        lambda upto: index.matching(index.runs, query, upto),
        made.reader,
        query,
        None,
        offset=offset,
        limit=limit,
        now=NOW,
    )


def in_order(there: Sequence[Case], query: ExecutionQuery) -> list[Key]:
    """The namespaces and names of all that match, by the plainest code."""
    kind = Protections().of_orphans("default")
    runs = [Run(case.view, kind) for case in there]
    if query.status:
        runs = [run for run in runs if run.status == query.status]
    if query.workflow:
        runs = [run for run in runs if run.order[1] == query.workflow[0]]
        runs = [run for run in runs if run.view.spec.workflow_ref.name == query.workflow[1]]
    if query.namespace:
        runs = [run for run in runs if run.order[1] == query.namespace]
    value: Callable[[Run], Any] = sort_values(NOW).get(query.ordering.field, lambda run: run.order[0])
    has = [run for run in runs if value(run) is not None]
    has.sort(key=lambda run: (value(run), run.order), reverse=query.ordering.descending)
    without = [run for run in runs if value(run) is None]
    without.sort(key=lambda run: run.order, reverse=query.ordering.descending)
    return [run.view.metadata.key for run in [*has, *without]]


def keys(part: Part[Listed]) -> list[Key]:
    return [entry.order[1:] for entry in part.entries]


def names(part: Part[Listed]) -> list[str]:
    return [name for _, name in keys(part)]


served = st.sampled_from([OTHERS, None])
queries = st.builds(
    ExecutionQuery,
    status=st.sampled_from([None, None, "completed", "failed"]),
    workflow=st.sampled_from([None, None, (NAMESPACE, "a"), (OTHERS[0], "a")]),
    namespace=st.sampled_from([None, None, None, NAMESPACE, OTHERS[1], "elsewhere"]),
    ordering=st.builds(
        Ordering, st.sampled_from(["createdAt", "startTime", "endTime", "duration"]), st.booleans()
    ),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), queries, st.integers(0, 30), st.integers(1, 6), served, st.booleans())
@example([], ExecutionQuery(), 0, 1, OTHERS, False)
def test_a_page_and_what_follows_its_cursor_are_of_one_list(
    there: list[Case],
    query: ExecutionQuery,
    offset: int,
    limit: int,
    others: Sequence[str] | None,
    in_parts: bool,
) -> None:
    async def story(url: str) -> None:
        async with desk(url, others=others) as made:
            await filled(made, there)
            expected = in_order(there, query)
            page = await asked(made, query, offset, limit)
            assert (keys(page), page.total) == (expected[offset : offset + limit], len(expected))
            assert (page.next is None) == (len(expected) <= offset + limit or not page.entries)
            rest = list(keys(page))
            while page.next is not None:
                following = replace(query, ordering=replace(query.ordering, after=page.next))
                page = await asked(made, following, 0, limit)
                rest += keys(page)
                assert page.total == len(expected)
            assert rest == expected[offset:]

    # With two namespaces a statement, three take two.
    of_a_statement = mock.patch.object(merged, "_AT_ONCE", 2 if in_parts else 100)
    with tempfile.TemporaryDirectory() as folder, of_a_statement:
        asyncio.run(story(sqlite_archive(Path(folder))))


async def test_a_deep_page_among_many_cached_ones_is_found(archive_url: str) -> None:
    """Hundreds of cached executions stand between the rows, so that where the page begins has to be found."""
    there = [
        Case(
            execution(
                f"run-{number:04}",
                created=_clock(number),
                phase="Running" if number % 3 else "Completed",
                completionTime=_clock(number),
            ),
            cached=bool(number % 3),
            archived=not number % 3,
            later=False,
        )
        for number in range(1800)
    ]
    async with desk(archive_url) as made:
        await filled(made, there)
        expected = [name for _, name in in_order(there, ExecutionQuery())]
        for offset in (0, 1, 599, 600, 601, 900, 1199, 1500, 1790, 1799, 1800, 5000):
            page = await asked(made, ExecutionQuery(ordering=NEWEST_FIRST), offset, 10)
            assert names(page) == expected[offset : offset + 10], offset
            assert page.total == 1800


async def test_deep_pages_are_found_from_places_known_though_rows_were_added_since(archive_url: str) -> None:
    def run(number: int) -> Case:
        view = execution(
            f"run-{number * 7 % 400:03}",
            created=_clock(number // 3),
            phase="Completed" if number % 5 else "Failed",
            completionTime=_clock(number),
        )
        return Case(view, cached=False, archived=True, later=False)

    there = [run(number) for number in range(0, 400, 2)]
    async with desk(archive_url) as made:
        await filled(made, there)
        for added in (None, 399, 201, 1):
            if added is not None:
                there.append(run(added))
                await made.archive(there[-1].view)
            for ordering in (NEWEST_FIRST, Ordering("endTime", descending=False), Ordering("duration")):
                for status in (None, "completed"):
                    query = ExecutionQuery(status=status, ordering=ordering)
                    expected = in_order(there, query)
                    for offset in (60, 150, 155, 149, 61, 120, 190, len(expected) - 1, len(expected)):
                        page = await asked(made, query, offset, 3)
                        assert keys(page) == expected[offset : offset + 3], (added, ordering, offset)


async def test_lists_with_any_earliest_start_have_the_number_of_their_rows(archive_url: str) -> None:
    def run(number: int) -> Case:
        view = execution(
            f"run-{number:03}",
            phase="Completed" if number % 3 else "Failed",
            startTime=_clock(number * 7 % 200),
            completionTime=_clock(200),
        )
        return Case(view, cached=False, archived=True, later=False)

    there = [run(number) for number in range(60)]
    nobodys = Protections().of_orphans(NAMESPACE)
    async with desk(archive_url) as made:
        await filled(made, there)
        for added in (60, 61):
            for begin in (None, 100, 40, 160, 90, 110, 0, 199, 200, 41, 100):
                for status in (None, "completed"):
                    since = None if begin is None else at(_clock(begin)[11:19]).timestamp()
                    page = await asked(made, ExecutionQuery(status=status, begin=since), 0, 5)
                    expected = [
                        one
                        for one in (Run(one.view, nobodys) for one in there)
                        if one.started >= (since or 0) and status in (None, one.status)
                    ]
                    assert page.total == len(expected), (begin, status)
            there.append(run(added))
            await made.archive(there[-1].view)


async def test_a_page_of_the_state_that_was_read_last_is_one_statement(archive_url: str) -> None:
    def run(name: str, phase: str) -> ExecutionView:
        return execution(name, phase=phase, completionTime=_clock(9))

    sent: list[str] = []
    async with desk(archive_url) as made:
        event.listen(
            made.database._reading, "before_cursor_execute", lambda _c, _cursor, text, *_: sent.append(text)
        )
        await made.archive(*(run(f"run-{number}", "Completed") for number in range(3)))

        async def statements(query: ExecutionQuery, expected: Sequence[str]) -> int:
            sent.clear()
            page = await asked(made, query, 0, 10)
            assert (names(page), page.total) == (expected, len(expected))
            return len(sent)

        everything = ["run-2", "run-1", "run-0"]
        assert await statements(ExecutionQuery(), everything) > 1
        assert await statements(ExecutionQuery(status="completed"), everything) == 1
        assert await statements(ExecutionQuery(status="failed"), []) == 1
        # Once something was archived, the state has to be read.
        await made.archive(run("run-3", "Failed"))
        assert await statements(ExecutionQuery(), ["run-3", *everything]) > 1
        assert await statements(ExecutionQuery(status="completed"), everything) == 1
        assert await statements(ExecutionQuery(status="failed"), ["run-3"]) == 1
        # So it has if something was cached: it may have been archived long ago.
        made.cluster.cache_execution(run("run-3", "Failed"))
        assert await statements(ExecutionQuery(), ["run-3", *everything]) > 1


async def test_a_run_is_listed_once_while_it_is_archived_and_pruned(archive_url: str) -> None:
    ended = execution("run", phase="Completed", completionTime=_clock(9))
    async with desk(archive_url) as made:
        made.cluster.cache_execution(ended)
        page = await asked(made, ExecutionQuery(), 0, 10)
        assert (names(page), page.total) == (["run"], 1)
        assert isinstance(page.entries[0], Run)
        await made.archive(ended)
        for _ in range(2):
            page = await asked(made, ExecutionQuery(), 0, 10)
            assert (names(page), page.total) == (["run"], 1)
            assert isinstance(page.entries[0], ArchivedRun)
            made.cluster.mark_execution_deleted(ended)


async def test_a_database_that_was_replaced_or_restored_is_read_from_its_beginning(archive_url: str) -> None:
    first, second = (execution(name, phase="Failed", completionTime=_clock(9)) for name in ("one", "two"))
    async with desk(archive_url) as made:
        for view in (first, second):
            made.cluster.cache_execution(view)
            await made.archive(view)
        assert (await asked(made, ExecutionQuery(), 0, 10)).total == 2
        await made.database.write(
            lambda connection: connection.exec_driver_sql("DELETE FROM executions WHERE name = 'two'")
        )
        page = await asked(made, ExecutionQuery(), 0, 10)
        assert (sorted(names(page)), page.total) == (["one", "two"], 2)


async def test_a_page_before_many_live_runs_is_found_with_its_second_read(
    archive_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live runs are mostly the newest; those of a long one may all come after the page."""
    async with desk(archive_url) as made:
        for number in range(300):
            made.cluster.cache_execution(execution(f"live-{number}", created=_clock(0), phase="Running"))
        await made.archive(
            *(
                execution(
                    f"run-{number:03}",
                    created=_clock(1 + number),
                    phase="Completed",
                    completionTime=_clock(500),
                )
                for number in range(400)
            )
        )
        read, reads = made.reader.page, list[int]()

        async def counted(query: ExecutionQuery, owner: str | None, *, skip: int, most: int) -> Any:
            reads.append(skip)
            return await read(query, owner, skip=skip, most=most)

        monkeypatch.setattr(made.reader, "page", counted)
        for offset in (5, 250, 310, 389):
            reads.clear()
            page = await asked(made, ExecutionQuery(), offset, 10)
            assert names(page) == [f"run-{399 - number:03}" for number in range(offset, offset + 10)]
            assert page.total == 700
            assert len(reads) <= 2, (offset, reads)
