"""Lists of cached and archived executions as one.

The cached executions without a row come from the index, the others from the archive, both in the order of the
list. A page of the whole begins after some of each: how many are of the archive is found by reading its rows
from where they have to be if all cached ones come before the page, which most often they do, else from where
they have to be if no further ones do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from nightcrawler_api.archive.contract import ArchivedRun, History
from nightcrawler_api.state.ordering import Ordering, Part, Position, SortKey, part
from nightcrawler_api.state.runs import ExecutionQuery, Run, Timed, sort_values

Cached = Callable[[int], Sequence[Run]]
"""The cached executions that match a query and have no row with a key up to this, oldest first."""
_SLACK: Final = 100
"""Rows beyond a page that are read, in case as many cached executions stand among them."""
_MOST_READS: Final = 20
_ANY_KEY: Final = 2**63


Listed = Run | ArchivedRun
"""An execution of a list: cached, or from the archive."""


async def part_of_both(
    cached: Cached,
    history: History,
    query: ExecutionQuery,
    owner: str | None,
    *,
    offset: int,
    limit: int,
    now: datetime,
) -> Part[Listed]:
    """The part of a list that a page shows; `owner` is the UID of the Workflow whose runs are listed."""
    ordering = query.ordering
    value = sort_values(now).get(ordering.field)
    end = offset + limit + 1
    # Of a list that is read from its beginning, as with a cursor, no rows but those of the page are needed.
    low = skip = max(offset - len(cached(_ANY_KEY)), 0) if offset else 0
    high = offset
    most = limit + 1 + (offset - skip if offset - skip <= _SLACK else 0)
    for reads in range(_MOST_READS):
        page = await history.page(query, owner, skip=skip, most=most)
        matching = cached(page.upto)
        mine = part(matching, ordering, 0, end, value).entries
        total = page.total + len(matching)
        window = _Window(mine, page.rows, ordering, value, skip, is_last=len(page.rows) < most)
        wanted = window.entries[max(offset - window.begin, 0) :][: limit + 1]
        is_within = window.begin <= offset and (bool(page.rows) or skip == 0)
        if offset >= total or (is_within and (window.is_last or len(wanted) > limit)):
            break
        # Further down, with a row before the page, or higher up.
        if is_within:
            low = skip + max(window.rows_before(offset) - 1, 0)
            high = min(high, offset - window.cached_before)
        else:
            low, high = min(low, skip - 1), min(skip, page.total) - 1
        if is_within and reads == 0:
            # Next, as if all other cached ones came after the page: then it begins with this row.
            skip, most = high, limit + 1
        else:
            skip = max(low if high - low <= _SLACK else (low + high) // 2, 0)
            most = limit + 1 + min(offset, _SLACK)
    found = wanted[:limit] if offset < total else []
    return Part(found, total, _position(found[-1], value) if found and len(wanted) > limit else None)


class _Window:
    """The first cached executions and consecutive rows, in the order of the list.

    Attributes:
        begin: The place in the whole list at which it begins.
        entries: As many as are certainly consecutive.
        is_last: Whether the list ends with it.
        cached_before: How many cached executions come before it.
    """

    def __init__(
        self,
        mine: Sequence[Run],
        rows: Sequence[ArchivedRun],
        ordering: Ordering,
        value: SortKey[Timed] | None,
        skip: int,
        *,
        is_last: bool,
    ) -> None:
        # Sorting what is in order already is the quickest way to merge it.
        both: list[Listed] = sorted((*mine, *rows), key=_key(ordering, value), reverse=ordering.descending)
        self.cached_before = both.index(rows[0]) if skip > 0 and rows else 0
        self.begin = skip + self.cached_before
        self.is_last = is_last
        self.entries = both[self.cached_before :]
        if not is_last:
            # Rows that were not read may come between the cached ones after the last row.
            while self.entries and isinstance(self.entries[-1], Run):
                self.entries.pop()

    def rows_before(self, place: int) -> int:
        """How many of its rows come before this place in the whole list."""
        return sum(isinstance(one, ArchivedRun) for one in self.entries[: max(place - self.begin, 0)])


def _key(ordering: Ordering, value: SortKey[Timed] | None) -> Callable[[Listed], Any]:
    """What a list is sorted by; executions without a value are last in either direction."""
    if value is None:
        return attrgetter("order")
    if ordering.descending:
        return lambda run: ((at := value(run)) is not None, at or 0.0, run.order)
    return lambda run: ((at := value(run)) is None, at or 0.0, run.order)


def _position(run: Listed, value: SortKey[Timed] | None) -> Position:
    return Position(value(run) if value else None, run.order)
