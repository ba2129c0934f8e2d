"""Numbers that do not arrive as they were written, found where any JSON is taken. Pure.

The API server keeps a whole number that fits in a signed 64-bit integer as it is. Every other number
it keeps as a float64, and gives back the shortest text of that, below 10^21 without an exponent: of
18446744073709551617 it makes 18446744073709552000, without a word. One that has been rounded cannot be
told from one that was written like that, so what is refused is

- a number from 2^63 to 10^21, exact or not: whole numbers of that size are what people have;
- a larger one with more than 15 significant digits. With no more than that every number is kept, and
  6.022e23 is taken. (One whole number of 22 digits or more in some twenty is rounded to 15 digits, and
  is taken with its error.)

A fraction with more digits than a float64 has, and a whole number from 2^53 to 2^63 that was written as
a fraction (9007199254740993.0), are rounded before they can be seen here, and look like any other
number. Over REST the facade sees the text that was sent, and refuses these too.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

_FIRST: Final = -(2**63)
_BEYOND: Final = 2**63
_WITH_EXPONENT: Final = 1e21
_DIGITS_KEPT: Final = 15
"""Any decimal number of so many significant digits is that of its float64."""


def is_kept(number: float) -> bool:
    """Whether a number that the API server gives back is surely the one that was written."""
    if _FIRST <= number < _BEYOND:
        return True
    if isinstance(number, int) or abs(number) <= _WITH_EXPONENT:
        return False
    return len(Decimal(repr(number)).normalize().as_tuple().digits) <= _DIGITS_KEPT


def not_kept(value: Any) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """The numbers in a JSON value that may have been rounded, each after its place: keys and indices."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while todo:
        place, inner = todo.pop()
        if isinstance(inner, dict):
            todo += [((*place, key), one) for key, one in inner.items()]
        elif isinstance(inner, list):
            todo += [((*place, index), one) for index, one in enumerate(inner)]
        elif isinstance(inner, int | float) and not is_kept(inner):
            yield place, inner
