"""What is remembered of the archive: pages, places in lists, and how many rows these have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection

from nightcrawler_api.archive import writing
from nightcrawler_api.archive.contract import ArchivedPage
from nightcrawler_api.archive.counts import Basis, Count, Counts, basis
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.pages import FoundPage, PageQuery
from nightcrawler_api.archive.places import Place, Places
from nightcrawler_api.archive.recent import RecentPages
from nightcrawler_api.archive.state import State
from nightcrawler_api.archive.writing import EndedRun
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.archives import NAMESPACE, NOW, PLACE, Desk, desk, sqlite_archive
from tests.support.views import execution

PAGE = ArchivedPage((), 0, 7)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def state(upto: int = 7, removals: int = 0, name: str = "a") -> State:
    return State(name, removals, {NAMESPACE: 1}, upto)


def kept(clock: Clock) -> RecentPages:
    """One page, `first`, that has just been read."""
    pages = RecentPages(clock)
    pages.begin(state(), pages.ends)
    pages.put(state(), "first", PAGE)
    return pages


def test_a_page_is_kept_as_long_as_its_state_is_current() -> None:
    clock = Clock()
    pages = kept(clock)

    assert pages.get("first") is PAGE
    assert pages.get("second") is None
    clock.now += 1.0
    assert pages.get("first") is None, "another replica may have written"
    pages.begin(state(), pages.ends)
    assert pages.get("first") is PAGE


@pytest.mark.parametrize("later", [state(upto=8), state(removals=1), state(name="b")])
def test_a_page_of_another_state_is_forgotten(later: State) -> None:
    pages = kept(Clock())

    pages.begin(later, pages.ends)

    assert pages.get("first") is None
    pages.put(state(), "first", PAGE)
    assert pages.get("first") is None, "it was read in a state that is over"


def test_a_page_is_read_again_after_ten_seconds() -> None:
    clock = Clock()
    pages = kept(clock)

    clock.now += 10.0
    pages.begin(state(), pages.ends)

    assert pages.get("first") is None


def test_a_state_that_ended_while_it_was_read_is_not_current() -> None:
    pages = kept(Clock())
    before = pages.ends

    pages.end()
    assert pages.get("first") is None
    pages.begin(state(), before)
    assert pages.get("first") is None
    pages.begin(state(), pages.ends)
    assert pages.get("first") is PAGE


def test_the_pages_that_were_read_last_are_kept() -> None:
    pages = kept(Clock())

    for number in range(100):
        pages.put(state(), number, PAGE)

    assert pages.get("first") is None
    assert pages.get(0) is PAGE


def place(before: int, *, upto: int = 7, removals: int = 0, name: str = "a") -> Place:
    return Place(before, (float(before),), name, removals, upto)


def test_the_nearest_place_is_known_before_or_after_the_one_that_is_looked_for() -> None:
    places = Places()
    for before in (500, 100, 900):
        places.add("list", place(before), state())

    found = {skip: places.near("list", skip) for skip in (0, 299, 301, 500, 5_000)}

    assert {skip: one and one.before for skip, one in found.items()} == {
        0: 100,
        299: 100,
        301: 500,
        500: 500,
        5_000: 900,
    }
    assert places.near("other list", 5) is None


@pytest.mark.parametrize("later", [state(upto=6), state(upto=9_000), state(removals=1), state(name="b")])
def test_a_place_is_forgotten_with_its_state(later: State) -> None:
    places = Places()
    places.add("list", place(500), state())

    places.add("list", place(9, upto=later.upto, removals=later.removals, name=later.name), later)

    assert not place(500).is_in(later)
    assert places.near("list", 500) == place(9, upto=later.upto, removals=later.removals, name=later.name)


def test_the_places_of_a_list_and_the_lists_are_limited() -> None:
    places = Places()
    for number in range(1_000):
        places.add("list", place(number), state())
    for number in range(49):
        places.add(number, place(number), state())

    assert len({places.near("list", skip) for skip in range(1_000)}) <= 200
    places.add("one more", place(1), state())
    assert places.near("list", 5) is None


KNOWN: Final = {None: Count(0, 7, 900), 100: Count(0, 7, 50), 200: Count(0, 7, 20), 900: Count(0, 6, 3)}


@pytest.mark.parametrize(
    ("begin", "now", "expected"),
    [
        (None, 1000, Basis(900, "none")),
        (100, 1000, Basis(50, "none")),
        # Of other starts, from the nearest one of this very state.
        (120, 1000, Basis(50, "between", fewer=True, values={"since": 100, "until": 120})),
        (180, 1000, Basis(20, "between", fewer=False, values={"since": 180, "until": 200})),
        (50, 1000, Basis(50, "between", fewer=False, values={"since": 50, "until": 100})),
        # If it is farther away than now, all are counted.
        (950, 1000, Basis()),
        # The very list, of an earlier state.
        (900, 1000, Basis(3, "added", values={"above": 6})),
    ],
)
def test_rows_are_counted_from_the_nearest_number_that_is_known(
    begin: int | None, now: int, expected: Basis
) -> None:
    assert basis(KNOWN, begin, state(), now) == expected


@pytest.mark.parametrize("other", [state(removals=1), state(upto=6)])
def test_numbers_of_another_state_are_not_used(other: State) -> None:
    assert basis(dict.fromkeys(KNOWN, Count(0, 7, 9)), 120, other, 1000) == Basis()


def test_the_number_that_is_wanted_is_found_from_what_was_counted() -> None:
    earlier, later = Basis(50, "between", fewer=True), Basis(20, "between")
    assert (earlier.with_counted(5), later.with_counted(5), Basis().with_counted(5)) == (45, 25, 5)
    assert (Basis(3, "none").total, earlier.total, Basis().total) == (3, None, None)


def test_the_numbers_of_the_lists_that_were_counted_last_are_kept() -> None:
    counts = Counts()
    for number in range(600):
        counts.remember("list", number, state(), number)
        counts.remember(number, None, state(), number)
    assert len(counts.of("list")) == 50
    assert counts.of("list")[599] == Count(0, 7, 599)
    assert (len(counts.of(10)), len(counts.of(599))) == (0, 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each page that was read from the archive."""
    found: list[str] = []
    read = PageQuery.read

    def counted(page: PageQuery, connection: Connection) -> FoundPage:
        found.append("page")
        return read(page, connection)

    monkeypatch.setattr(PageQuery, "read", counted)
    return found


async def total(made: Desk) -> int:
    return (await made.reader.page(ExecutionQuery(), None, skip=0, most=10)).total


def ended(name: str) -> ExecutionView:
    return execution(name, phase="Completed", completionTime="2025-07-10T15:00:00Z")


async def test_who_looks_again_is_answered_without_the_archive(tmp_path: Path, asked: list[str]) -> None:
    async with desk(sqlite_archive(tmp_path)) as made:
        await made.archive(ended("one"))

        assert [await total(made), await total(made)] == [1, 1]

    assert asked == ["page"]


async def test_what_this_process_has_archived_is_in_the_next_page(tmp_path: Path) -> None:
    async with desk(sqlite_archive(tmp_path)) as made:
        assert await total(made) == 0
        await made.archive(ended("one"))
        assert await total(made) == 1


async def test_a_run_that_another_replica_archived_is_in_the_page_once_it_is_no_longer_cached(
    tmp_path: Path,
) -> None:
    url = sqlite_archive(tmp_path)
    async with desk(url) as made:
        run = ended("one")
        made.cluster.cache_execution(run)
        assert await total(made) == 0
        other = Database(url)
        await other.write(lambda c: writing.add_runs(c, PLACE, [EndedRun(run, ())], (), NOW))
        await other.close()

        made.cluster.mark_execution_deleted(run)

        assert await total(made) == 1
