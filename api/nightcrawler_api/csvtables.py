"""Rows of responses as CSV (RFC 4180), for spreadsheets; pure.

The columns are the fields of a row's type, those of objects in it as `outer.inner`, so that a field that is
added to a response is a column too.
"""

from __future__ import annotations

import csv
import io
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What begins a formula in some spreadsheet: a workflow's name must not run one on its reader's machine."""


def columns_of(row: Any) -> list[str]:
    """The columns of a `TypedDict`, in its order; fields with lists or free-form values are left out."""
    columns: list[str] = []
    for field, hint in get_type_hints(row).items():
        kinds = list(_kinds(hint))
        nested = [kind for kind in kinds if is_typeddict(kind)]
        if nested:
            columns += [f"{field}.{inner}" for kind in nested for inner in columns_of(kind)]
        elif all(kind in (str, int, float, bool, type(None)) for kind in kinds):
            columns.append(field)
    return columns


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, with a line of the columns' names before them; what a row lacks is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    paths = [column.split(".") for column in columns]
    writer.writerows([_cell(row, path) for path in paths] for row in rows)
    return text.getvalue()


def _cell(row: Mapping[str, Any], path: Sequence[str]) -> str:
    value: Any = row
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}" if value.startswith(_FORMULAS) else value
        case _:
            return str(value)


def _kinds(hint: Any) -> Iterable[Any]:
    """The types that a hint allows; of literals, those of their values."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for one in get_args(hint):
            yield from _kinds(one)
    elif origin is not None and str(origin) == "typing.Literal":
        yield from {type(value) for value in get_args(hint)}
    else:
        yield hint
