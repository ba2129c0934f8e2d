"""Pages of lists of one namespace, which an index has in order.

Where a page begins that skips many rows is counted in the index: from the nearest place that is known, which
may be the list's end, or where another page began a while ago. A page is one statement, with the state of the
archive in which it was read, and is built once for all pages of its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, false, null, select, tuple_

from nightcrawler_api.archive import listing
from nightcrawler_api.archive.contract import ListedRow
from nightcrawler_api.archive.counts import Basis, Rows
from nightcrawler_api.archive.filters import Values, conditions, values_of
from nightcrawler_api.archive.places import Place
from nightcrawler_api.archive.reading import GREATEST_KEY, AnyRow, Scope, counting
from nightcrawler_api.archive.rows import micros_of
from nightcrawler_api.archive.state import State
from nightcrawler_api.archive.tables import archive, executions
from nightcrawler_api.state.ordering import Ordering

_SORTED_BY: Final[dict[str, ColumnElement[Any]]] = {
    "startTime": executions.c.started_at,
    "endTime": executions.c.ended_at,
    "duration": executions.c.duration,
}
_VALUES: Final[dict[str, Callable[[ListedRow], tuple[Any, ...]]]] = {
    "createdAt": attrgetter("created_at", "name"),
    "startTime": attrgetter("started_at", "created_at", "name"),
    "endTime": attrgetter("ended_at", "created_at", "name"),
    "duration": lambda row: (row.ended_at - row.started_at, row.created_at, row.name),
}
"""What a row is sorted by, as in the columns of `columns_of`."""
_FEW: Final = 50
"""Up to so many rows are skipped by reading them."""
_SHAPES: Final = 200
"""So many statements are kept."""


class Bound(NamedTuple):
    """The start of a range of a sorted list, without its values.

    Attributes:
        size: How many of the sort columns have a value, from the first on; 0 if the range is empty.
        inclusive: Whether rows with these values are in the range.
    """

    size: int
    inclusive: bool


class _Skip(NamedTuple):
    """How rows are skipped: by reading them, or by counting them in an index.

    Attributes:
        counted: Whether they are counted.
        backwards: From the end of the list, or from the place.
        near: Whether from a place.
    """

    counted: bool = False
    backwards: bool = False
    near: bool = False


class _Shape(NamedTuple):
    """What the statement of a page depends on beside the values of its parameters."""

    filters: tuple[str, ...]
    field: str
    descending: bool
    after: Bound | None
    skip: _Skip
    counted: Rows


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A page as a statement, with its values."""

    statement: Select[Any]
    values: Values
    namespace: str
    ordering: Ordering
    counted: Basis
    place_is_found: bool

    def read(self, connection: Connection) -> FoundPage:
        """The page, and the state of the archive in which it was read."""
        return self._found(connection.execute(self.statement, self.values).one())

    def _found(self, row: AnyRow) -> FoundPage:
        name, removals, upto, text, count = row
        rows = listing.decoded(text, self.namespace)
        values = _VALUES[self.ordering.field]
        rows.sort(key=values, reverse=self.ordering.descending)
        first = values(rows[0]) if self.place_is_found and rows else ()
        return FoundPage(name, removals, upto or 0, rows, self.counted.with_counted(count or 0), first)


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page that was read.

    Attributes:
        name: The database's name.
        removals: How often rows had been removed from it.
        upto: The greatest key.
        rows: The rows.
        total: How many rows match, whatever the position.
        first: What the first row is sorted by, if its place had to be found.
    """

    name: str
    removals: int
    upto: int
    rows: Sequence[ListedRow]
    total: int
    first: Sequence[Any]

    def is_in(self, state: State) -> bool:
        """Whether it was read in this state."""
        return (self.name, self.removals, self.upto) == (state.name, state.removals, state.upto)


def page(
    scope: Scope,
    owner: str | None,
    *,
    skip: int,
    most: int,
    counted: Basis,
    near: Place | None = None,
) -> PageQuery:
    """Up to `most` rows that match in a namespace, after the query's position and `skip` others.

    `counted` says from what the number of those that match is found, whatever the position. `near` is a place
    in the list in this very state.
    """
    ordering = scope.query.ordering
    values = values_of(scope.where, scope.query, owner)
    filters = tuple(values)
    after, position = after_of(ordering, scope.namespace)
    way, rows = _way(skip, counted.total if after is None else None, near)
    shape = _Shape(filters, ordering.field, ordering.descending, after, way, counted.rows)
    values |= named("after", position) | {"skip": rows, "most": most, **counted.values}
    if way.near and near is not None:
        values |= named("near", near.values)
    return PageQuery(_statement(shape), values, scope.namespace, ordering, counted, way.counted)


def _way(skip: int, total: int | None, near: Place | None) -> tuple[_Skip, int]:
    """The shortest way to a page that skips so many rows, and how many are skipped by it."""
    if skip <= _FEW:
        return _Skip(), skip
    ways = [(skip, _Skip(counted=True))]
    if total is not None and skip < total:
        ways.append((total - 1 - skip, _Skip(counted=True, backwards=True)))
    if near is not None and near.before <= skip:
        ways.append((skip - near.before, _Skip(counted=True, near=True)))
    elif near is not None:
        ways.append((near.before - 1 - skip, _Skip(counted=True, backwards=True, near=True)))
    rows, way = min(ways)
    return way, rows


@lru_cache(maxsize=_SHAPES)
def _statement(shape: _Shape) -> Select[Any]:
    """The statement of all pages of a shape."""
    by, descending = columns_of(shape.field), shape.descending
    chosen = chosen_in(shape.filters, shape.field, shape.after, descending=descending)
    rows: Select[Any] = listing.ROWS_OF_LISTS
    skip, most = bindparam("skip", type_=Integer), bindparam("most", type_=Integer)
    if shape.skip.counted:
        first = select(*by).where(*chosen)
        if shape.skip.near:
            # Backwards, of the rows before the place; else of it and those after it.
            towards = descending != shape.skip.backwards
            first = first.where(
                _beyond(by, Bound(len(by), not shape.skip.backwards), "near", descending=towards)
            )
        # An index has these columns, so that the rows that are skipped are not read.
        first = ordered(first, by, descending=descending != shape.skip.backwards)
        place = first.offset(skip).limit(1).correlate(None).scalar_subquery()
        row = tuple_(*by)
        rows = rows.where(*chosen, row <= place if descending else row >= place)
        rows = ordered(rows, by, descending=descending).limit(most)
    else:
        rows = ordered(rows.where(*chosen), by, descending=descending).limit(most).offset(skip)
    count: ColumnElement[Any] = null()
    if shape.counted != "none":
        count = counting(shape.filters, shape.counted).scalar_subquery()
    return select(
        archive.c.name, archive.c.removals, GREATEST_KEY, listing.together(rows), count
    ).select_from(archive)


def in_state(
    connection: Connection, place: Place, state: State, scope: Scope, owner: str | None
) -> Place | None:
    """A place that was found in an earlier state, in this one: rows may have been added before it."""
    if not place.is_in(state):
        return None
    if place.is_of(state):
        return place
    ordering = scope.query.ordering
    by = columns_of(ordering.field)
    values = values_of(scope.where, scope.query, owner)
    before = _beyond(by, Bound(len(by), inclusive=False), "near", descending=not ordering.descending)
    added = counting(values, "added").where(before)
    number = connection.execute(added, values | named("near", place.values) | {"above": place.upto})
    return place.after(number.scalar_one(), state)


def chosen_in(
    filters: Sequence[str], field: str, after: Bound | None, *, descending: bool, suffix: str = ""
) -> list[ColumnElement[bool]]:
    """The conditions of what matches in a namespace, after a position."""
    found = conditions(filters, in_order=field != "startTime", suffix=suffix)
    if after is not None:
        found.append(_beyond(columns_of(field), after, "after", descending=descending, suffix=suffix))
    return found


def columns_of(field: str) -> list[ColumnElement[Any]]:
    """What a list is sorted by in one namespace; the last is the name."""
    value = _SORTED_BY.get(field)
    by_creation: list[ColumnElement[Any]] = [executions.c.created_at, executions.c.name]
    return by_creation if value is None else [value, *by_creation]


def ordered(query: Select[Any], by: Sequence[ColumnElement[Any]], *, descending: bool) -> Select[Any]:
    """A query in an order."""
    return query.order_by(*(column.desc() if descending else column for column in by))


def after_of(ordering: Ordering, namespace: str) -> tuple[Bound | None, Sequence[Any]]:
    """Where a list's position is in a namespace, and its values; what has no value is never archived."""
    position = ordering.after
    if position is None:
        return None, ()
    created_at, its_namespace, name = position.order
    values: list[Any] = [micros_of(created_at)]
    if ordering.field in _SORTED_BY:
        if position.value is None:
            return Bound(0, inclusive=False), ()
        values = [micros_of(float(position.value)), *values]
    if namespace == its_namespace:
        return Bound(len(values) + 1, inclusive=False), [*values, name]
    # Namespaces come before names: of equal times all of this one come after the position, or none do.
    all_of_equal = (namespace < its_namespace) if ordering.descending else (namespace > its_namespace)
    return Bound(len(values), all_of_equal), values


def _beyond(
    by: Sequence[ColumnElement[Any]], bound: Bound, prefix: str, *, descending: bool, suffix: str = ""
) -> ColumnElement[bool]:
    """The condition of the rows from a place on; its values are parameters with this prefix."""
    if not bound.size:
        return false()
    some = by[: bound.size]
    at = tuple_(*(bindparam(f"{prefix}_{n}{suffix}", type_=column.type) for n, column in enumerate(some)))
    row = tuple_(*some)
    if bound.inclusive:
        return row <= at if descending else row >= at
    return row < at if descending else row > at


def named(prefix: str, values: Sequence[Any], suffix: str = "") -> Values:
    """The values of a place by the names of their parameters."""
    return {f"{prefix}_{n}{suffix}": value for n, value in enumerate(values)}
