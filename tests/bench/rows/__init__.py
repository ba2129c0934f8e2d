"""One module a row of the table; each has `measure`, which returns its figures."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from tests.bench.engines import Engine
from tests.bench.measured import Measured
from tests.bench.sizes import Sizes

Row = Callable[[Sizes], Coroutine[Any, Any, Measured]]
RowOfEngine = Callable[[Sizes, Engine], Coroutine[Any, Any, Measured]]

ORDER: Final = (
    "start",
    "handover",
    "throughput",
    "cost",
    "memory",
    "list",
    "identity",
    "archive",
    "recovery",
    "schedule",
    "environments",
    "features",
    "scale",
)
"""The rows, as the report shows them."""


COMPARABLE: Final = ("start", "handover", "throughput", "cost")
"""Those that take an engine, so that one can be compared with another."""


def known() -> list[str]:
    """The rows that there are."""
    return [name for name in ORDER if importlib.util.find_spec(f"{__name__}.{name}")]


def row(name: str) -> Row:
    """What measures a row."""
    return cast("Row", importlib.import_module(f"{__name__}.{name}").measure)


def row_of_engine(name: str) -> RowOfEngine:
    """What measures one of `COMPARABLE`."""
    assert name in COMPARABLE
    return cast("RowOfEngine", importlib.import_module(f"{__name__}.{name}").measure)
