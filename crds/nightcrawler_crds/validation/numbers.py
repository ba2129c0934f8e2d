"""Problems with numbers that the API server may have rounded; `jsonnumbers` finds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import jsonnumbers
from nightcrawler_crds.validation.problems import Problem, pointer_part


def number_problems(what: str, pointer: str, value: Any) -> Iterable[Problem]:
    """The numbers in a JSON value that may have been rounded; `what` is how the sentence calls the value."""
    for place, number in jsonnumbers.not_kept(value):
        where = "".join(f"/{pointer_part(str(part))}" for part in place)
        message = (
            f"{what} has the number {number} in it, which does not fit in 64 bits and may have been rounded "
            "on its way here; write it as text"
        )
        yield Problem(pointer + where, conditions.INVALID_SPEC, message)
