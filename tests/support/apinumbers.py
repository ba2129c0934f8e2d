"""What the API server makes of a number in JSON; an integration test compares it with the real one."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec

_WITH_EXPONENT = 1e21
_SMALLEST_WITHOUT = 1e-6


def as_kept(text: str) -> int | float:
    """The number that is read back by the operator for one that was written.

    Raises:
        OverflowError: It is refused.
    """
    return msgspec.json.decode(text_kept(text), type=int | float)


def text_kept(text: str) -> str:
    """The text that the API server gives back for a number."""
    if text.lstrip("-").isdigit() and -(2**63) <= int(text) < 2**63:
        return str(int(text))
    number = json.loads(text, parse_int=float)
    if number in (float("inf"), float("-inf")):
        raise OverflowError(text)
    if number == 0 or _SMALLEST_WITHOUT <= abs(number) < _WITH_EXPONENT:
        shortest = f"{Decimal(repr(number)):f}"
        return shortest.removesuffix(".0")
    return repr(number)
