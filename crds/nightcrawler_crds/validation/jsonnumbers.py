"""Numbers that the API server may have rounded, in fields that take any JSON. Pure.

The API server keeps an integer that fits in 64 bits. It keeps every other number as a float64, and
returns the shortest text of that, below 10^21 without an exponent: 18446744073709551617 becomes
18446744073709552000, without an error. A rounded number looks like one that was written that way, so
these are refused:

- a number from 2^63 to 10^21, exact or not: integers of that size are common;
- a larger one with more than 15 significant digits. Numbers with up to 15 are kept, so 6.022e23 is
  accepted. (About one in twenty integers of 22 digits or more is rounded to 15 digits, and is accepted
  with its error.)

A fraction with more digits than a float64 has, and an integer from 2^53 to 2^63 written as a fraction
(9007199254740993.0), are rounded before they get here, and look like any other number. Over REST the
facade sees the text that was sent, and refuses these too.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

_FIRST: Final = -(2**63)
_BEYOND: Final = 2**63
_WITH_EXPONENT: Final = 1e21
_DIGITS_KEPT: Final = 15
"""A float64 keeps every decimal number of up to so many significant digits."""


def is_kept(number: float) -> bool:
    """Whether a number from the API server is certain to be the one that was written."""
    if _FIRST <= number < _BEYOND:
        return True
    if isinstance(number, int) or abs(number) <= _WITH_EXPONENT:
        return False
    return len(Decimal(repr(number)).normalize().as_tuple().digits) <= _DIGITS_KEPT


def not_kept(value: Any) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """The numbers in a JSON value that may have been rounded, each with its path of keys and indices."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while todo:
        place, inner = todo.pop()
        if isinstance(inner, dict):
            todo += [((*place, key), one) for key, one in inner.items()]
        elif isinstance(inner, list):
            todo += [((*place, index), one) for index, one in enumerate(inner)]
        elif isinstance(inner, int | float) and not is_kept(inner):
            yield place, inner
