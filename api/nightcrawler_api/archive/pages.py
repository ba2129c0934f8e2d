"""Pages of lists of one namespace, which an index has in order.

Where a page begins that skips many rows is counted in the index: from the nearest place that is known, which
may be the list's end, or where another page began a while ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, false, func, select, tuple_

from nightcrawler_api.archive.contract import ListedRow
from nightcrawler_api.archive.listing import ROWS_OF_LISTS, read
from nightcrawler_api.archive.places import Place
from nightcrawler_api.archive.reading import Scope, State, by_key, conditions
from nightcrawler_api.archive.rows import micros_of
from nightcrawler_api.archive.tables import executions
from nightcrawler_api.state.ordering import Ordering

_SORTED_BY: Final[dict[str, ColumnElement[Any]]] = {
    "startTime": executions.c.started_at,
    "endTime": executions.c.ended_at,
    "duration": executions.c.duration,
}
_FEW: Final = 50
"""Up to so many rows are skipped by reading them, which takes less than a statement."""


def page_of_one(
    connection: Connection,
    scope: Scope,
    owner: str | None,
    *,
    skip: int,
    most: int,
    total: int,
    near: Place | None = None,
) -> tuple[list[ListedRow], Sequence[Any]]:
    """Up to `most` rows that match in a namespace, after the query's position and `skip` others.

    `total` is how many match, whatever the position, and `near` is a place in the list in this very state.
    If the page's place had to be found, what its first row is sorted by is returned too.
    """
    ordering = scope.query.ordering
    by = columns_of(ordering)
    chosen = chosen_in(scope, owner, by)
    first: Sequence[Any] = ()
    if skip > _FEW:
        found = _at(connection, chosen, by, ordering, skip, total, near)
        if found is None:
            return [], ()
        first, skip = found, 0
        chosen.append(_from(by, first, descending=ordering.descending))
    rows = ordered(ROWS_OF_LISTS.where(*chosen), by, descending=ordering.descending)
    rows = rows.limit(most).offset(skip) if skip else rows.limit(most)
    return read(connection, rows, scope.namespace, ordering), first


def _at(
    connection: Connection,
    chosen: Sequence[ColumnElement[bool]],
    by: Sequence[ColumnElement[Any]],
    ordering: Ordering,
    skip: int,
    total: int,
    near: Place | None,
) -> Sequence[Any] | None:
    """What the row after `skip` others is sorted by, found the shortest way; None if there is no such row."""
    descending = ordering.descending
    ways: list[tuple[int, bool, Sequence[ColumnElement[bool]]]] = [(skip, False, ())]
    if ordering.after is None:
        if skip >= total:
            return None
        ways.append((total - 1 - skip, True, ()))
    if near is not None and near.before <= skip:
        ways.append((skip - near.before, False, (_from(by, near.values, descending=descending),)))
    elif near is not None:
        ways.append((near.before - 1 - skip, True, (_before(by, near.values, descending=descending),)))
    rows, backwards, within = min(ways, key=itemgetter(0))
    # An index has these columns, so that the rows that are skipped are not read.
    places = select(*by).where(*chosen, *within)
    found = ordered(places, by, descending=descending != backwards).offset(rows).limit(1)
    return connection.execute(found).one_or_none()


def in_state(
    connection: Connection, place: Place, state: State, scope: Scope, owner: str | None
) -> Place | None:
    """A place that was found in an earlier state, in this one: rows may have been added before it."""
    if not place.is_in(state):
        return None
    if place.upto == state.upto:
        return place
    by = columns_of(scope.query.ordering)
    before = _before(by, place.values, descending=scope.query.ordering.descending)
    added = select(func.count()).select_from(executions).where(*chosen_in(scope, owner, by), before)
    number = connection.execute(by_key(added.where(executions.c.id > place.upto))).scalar_one()
    return place.after(number, state)


def _before(
    by: Sequence[ColumnElement[Any]], values: Sequence[Any], *, descending: bool
) -> ColumnElement[bool]:
    """The condition of the rows that precede one with these values."""
    row, at = tuple_(*by), tuple_(*values)
    return row > at if descending else row < at


def chosen_in(scope: Scope, owner: str | None, by: Sequence[ColumnElement[Any]]) -> list[ColumnElement[bool]]:
    """The conditions of what matches in a namespace, after the query's position."""
    found = conditions(scope.where, scope.query, owner, in_order=True)
    if scope.query.ordering.after is not None:
        found.append(_after(scope.query.ordering, by, scope.namespace))
    return found


def columns_of(ordering: Ordering) -> list[ColumnElement[Any]]:
    """What a list is sorted by in one namespace; the last is the name."""
    value = _SORTED_BY.get(ordering.field)
    by_creation: list[ColumnElement[Any]] = [executions.c.created_at, executions.c.name]
    return by_creation if value is None else [value, *by_creation]


def ordered(query: Select[Any], by: Sequence[ColumnElement[Any]], *, descending: bool) -> Select[Any]:
    """A query in an order."""
    return query.order_by(*(column.desc() if descending else column for column in by))


def _after(ordering: Ordering, by: Sequence[ColumnElement[Any]], namespace: str) -> ColumnElement[bool]:
    """The condition of what comes after the query's position; what has no value is never archived."""
    position = ordering.after
    assert position is not None
    created_at, its_namespace, name = position.order
    values: list[Any] = [micros_of(created_at)]
    if len(by) > len(values) + 1:
        if position.value is None:
            return false()
        values = [micros_of(float(position.value)), *values]
    if namespace == its_namespace:
        values.append(name)
    # Namespaces come before names: of equal times all of this one come after the position, or none do.
    all_of_equal = (namespace < its_namespace) if ordering.descending else (namespace > its_namespace)
    if all_of_equal:
        return _from(by, values, descending=ordering.descending)
    row, at = tuple_(*by[: len(values)]), tuple_(*values)
    return row < at if ordering.descending else row > at


def _from(
    by: Sequence[ColumnElement[Any]], values: Sequence[Any], *, descending: bool
) -> ColumnElement[bool]:
    """The condition of a row with these values, and of all that follow it."""
    row, at = tuple_(*by[: len(values)]), tuple_(*values)
    return row <= at if descending else row >= at
