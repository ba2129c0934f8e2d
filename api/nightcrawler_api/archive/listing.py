"""Rows of lists, read as one text: databases make JSON of them, which msgspec reads at once.

A driver makes an object of each value, and between any two rows of SQLite it lets another thread go on: under
load a page would wait for others fifty times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, ScalarSelect, Select, Text, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from nightcrawler_api.archive.contract import ListedRow
from nightcrawler_api.archive.rows import LISTED
from nightcrawler_api.archive.tables import executions

# SQLite has numbers for what is true or false, and a number may come as text: see `_exact`.
_rows = msgspec.json.Decoder(list[ListedRow], strict=False)
_row = msgspec.json.Decoder(ListedRow, strict=False)


class _Listed(FunctionElement[str]):
    """A row as lists show it, as the text of a JSON array.

    For SQLAlchemy it is one thing: to look at each column takes longer than the database takes for all.
    """

    name = "listed"
    inherit_cache = True
    type = Text()


@compiles(_Listed)
def _array(_: _Listed, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array({', '.join(_values(compiler, _exact, **options))})"


@compiles(_Listed, "postgresql")
def _built_array(_: _Listed, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(json_build_array({', '.join(_values(compiler, str, **options))}) AS TEXT)"


def _values(compiler: SQLCompiler, cost: Callable[[str], str], **options: Any) -> Iterator[str]:
    for name in LISTED:
        value = compiler.process(executions.c[name], **options)
        yield cost(value) if name == "cost" else value


def _exact(number: str) -> str:
    """A floating-point number with all its digits: SQLite's JSON has 15, where up to 17 are needed."""
    return f"iif({number} IS NULL, NULL, printf('%!.17g', {number}))"


ROWS_OF_LISTS: Final = select(_Listed().label("listed")).select_from(executions)
"""Each row as lists show it, without its namespace.

The name of its workflow, which the cluster mostly has, is not among it: on PostgreSQL a page took 1.1 ms
instead of 3.0 without that join (50 rows of 100,000, measured).
"""


_COMMA: Final[Any] = literal_column("','", Text)  # declared as text alone, but taken as any expression is
"""A separator that is a value would be put into the text of the statement again for each execution."""


def together(found: Select[Any]) -> ScalarSelect[str]:
    """The rows of a query of `ROWS_OF_LISTS` as one text, which `decoded` reads."""
    return select(func.aggregate_strings(found.subquery().c.listed, _COMMA)).scalar_subquery()


def decoded(text: str | None, namespace: str) -> list[ListedRow]:
    """The rows of a text, all of this namespace, in no order."""
    rows = _rows.decode(f"[{text or ''}]")
    for row in rows:
        _place(row, namespace)
    return rows


def read_each(connection: Connection, found: Select[Any], names: Mapping[int, str]) -> list[ListedRow]:
    """The rows of a query of `ROWS_OF_LISTS` in no order, of the namespaces whose keys it adds to them."""
    each = connection.execute(found).all()
    return [_place(_row.decode(text), names[where]) for text, where in each]


def _place(row: ListedRow, namespace: str) -> ListedRow:
    """A row that has just been read, with its namespace."""
    msgspec.structs.force_setattr(row, "namespace", namespace)
    return row
