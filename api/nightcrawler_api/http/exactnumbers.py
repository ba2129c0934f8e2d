"""Numbers in a body that the cluster would store with another value; pure.

They are found in the text, because decoding has rounded them already. `jsonnumbers` says why the cluster
changes them, and checks manifests as far as that is visible there.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from nightcrawler_api.refusals import FieldError, at
from nightcrawler_crds.validation import pointer_part
from nightcrawler_crds.validation.jsonnumbers import is_kept

_SUSPECT: Final = re.compile(rb"[0-9.]{16}|[0-9][eE]")
"""Every affected number has many digits or an exponent; most bodies have none of either."""
_LONGEST: Final = 400
_ANY_DIGIT_BUT_ZERO: Final = re.compile(r"[1-9]")


@dataclass(frozen=True, slots=True)
class _NotKept:
    """Replaces an affected number in the decoded body."""

    why: str


def inexact_numbers(body: bytes) -> list[FieldError]:
    """The numbers of a body, which is JSON, that the cluster would round or refuse."""
    if not _SUSPECT.search(body):
        return []
    decoded = json.loads(body, parse_int=_whole, parse_float=_fraction)
    findings: list[FieldError] = []
    todo: list[tuple[str, Any]] = [("", decoded)]
    while todo:
        pointer, value = todo.pop()
        if isinstance(value, _NotKept):
            findings.append(at(pointer, value.why))
        elif isinstance(value, dict):
            todo += [(f"{pointer}/{pointer_part(key)}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            todo += [(f"{pointer}/{index}", inner) for index, inner in enumerate(value)]
    return findings[::-1]


def _whole(text: str) -> int | _NotKept:
    # Python converts no more than 4,300 digits.
    if len(text) < _LONGEST and is_kept(number := int(text)):
        return number
    return _NotKept("the number does not fit in 64 bits; send it as text")


def _fraction(text: str) -> float | _NotKept:
    number = float(text)
    if not math.isfinite(number):
        return _NotKept("the number is too large for any number in JSON; send it as text")
    if number == 0:
        exact = not _ANY_DIGIT_BUT_ZERO.search(text.lower().partition("e")[0])
    else:
        exact = len(text) <= _LONGEST and Decimal(text) == Decimal(repr(number))
    if not exact:
        return _NotKept(
            f"the number has more digits than are kept, and would become {number}; send it as text"
        )
    if not is_kept(number):
        return _NotKept(f"the number {number} could be a rounded one to those who read it; send it as text")
    return number
