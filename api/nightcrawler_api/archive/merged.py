"""Pages of lists of several namespaces: merged from the lists of each, which an index has in order.

Of each namespace no more is read than the page can need. Otherwise databases would sort all rows of all of
them for every page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import CompoundSelect, Connection, Integer, literal_column, select, union_all

from nightcrawler_api.archive.contract import ListedRow
from nightcrawler_api.archive.filters import Values, values_of
from nightcrawler_api.archive.listing import ROWS_OF_LISTS, read_each
from nightcrawler_api.archive.pages import after_of, chosen_in, columns_of, named, ordered
from nightcrawler_api.archive.reading import Scope
from nightcrawler_api.archive.tables import executions

_AT_ONCE: Final = 100
"""Namespaces in one statement: databases limit the parts of one, and take longer to plan each."""
_ROWS_AT_ONCE: Final = 500


def page(
    connection: Connection, scopes: Sequence[Scope], owner: str | None, *, skip: int, most: int, total: int
) -> list[ListedRow]:
    """Up to `most` rows that match in these namespaces, after the query's position and `skip` others.

    `total` is how many match, whatever the position: places in the second half are found from the end.
    """
    if not scopes:
        return []
    ordering = scopes[0].query.ordering
    if ordering.after is None and total < 2 * skip:
        left = max(min(total - skip, most), 0)
        reverse = replace(ordering, descending=not ordering.descending)
        turned = [replace(one, query=replace(one.query, ordering=reverse)) for one in scopes]
        keys = _keys(connection, turned, owner, skip=max(total - skip - most, 0), most=left)[::-1]
    else:
        keys = _keys(connection, scopes, owner, skip=skip, most=most)
    return _rows(connection, scopes, keys)


def _keys(
    connection: Connection, scopes: Sequence[Scope], owner: str | None, *, skip: int, most: int
) -> list[int]:
    """The keys of a page."""
    end, parts = skip + most, []
    for begin in range(0, len(scopes), _AT_ONCE):
        some, values = _merged(scopes[begin : begin + _AT_ONCE], owner, end, begin)
        if len(scopes) <= _AT_ONCE:
            return [row[0] for row in connection.execute(some.limit(most).offset(skip), values)]
        parts.append(connection.execute(some, values).all())
    # Each begins with the key; by the rest they are sorted.
    both = merge(*parts, key=itemgetter(slice(1, None)), reverse=scopes[0].query.ordering.descending)
    return [row[0] for row in islice(both, skip, end)]


def _merged(
    scopes: Sequence[Scope], owner: str | None, most: int, begin: int
) -> tuple[CompoundSelect[Any], Values]:
    """The first keys of several namespaces in the order of their list, each with what that is sorted by."""
    ordering = scopes[0].query.ordering
    *first, name = by = columns_of(ordering.field)
    parts, values = [], Values()
    for rank, scope in enumerate(scopes, begin):
        # Namespaces are in the order of their names, which comes before that of the runs' names.
        number = literal_column(str(rank), Integer).label("rank")
        filters = values_of(scope.where, scope.query, owner)
        after, position = after_of(ordering, scope.namespace)
        suffix = f"_of_{rank}"
        chosen = chosen_in(
            tuple(filters), ordering.field, after, descending=ordering.descending, suffix=suffix
        )
        mine = select(executions.c.id, *first, number, name).where(*chosen)
        parts.append(select(ordered(mine, by, descending=ordering.descending).limit(most).subquery()))
        values |= {f"{key}{suffix}": value for key, value in filters.items()}
        values |= named("after", position, suffix)
    merged = union_all(*parts)
    columns = list(merged.selected_columns)[1:]
    in_order = merged.order_by(*(column.desc() if ordering.descending else column for column in columns))
    return in_order.limit(most), values


def _rows(connection: Connection, scopes: Sequence[Scope], keys: Sequence[int]) -> list[ListedRow]:
    """The rows with these keys, in their order."""
    names = {scope.where: scope.namespace for scope in scopes}
    found: dict[int, ListedRow] = {}
    for begin in range(0, len(keys), _ROWS_AT_ONCE):
        some = executions.c.id.in_(keys[begin : begin + _ROWS_AT_ONCE])
        each = ROWS_OF_LISTS.add_columns(executions.c.namespace_id).where(some)
        found.update((row.id, row) for row in read_each(connection, each, names))
    return [found[key] for key in keys]
