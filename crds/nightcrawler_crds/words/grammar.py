"""What every kind of word has in common: how it is matched, and the sentence that refuses it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

Word = str | int | float

WORD_MAX_LENGTH: Final = 63
"""Characters: the longest label value, with which the model of a GPU is compared."""
NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"


class WordError(ValueError):
    """An invalid word; the message names it, what is wrong, and the accepted forms."""


class WordRangeError(WordError):
    """A valid word whose amount is out of bounds: too large, or too fine."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of word: its pattern, its accepted forms, and what is wrong with common mistakes."""

    pattern: re.Pattern[str]
    forms: str
    mistakes: dict[str, str]
    """Pattern of a common mistake -> what is wrong with it, a template for `Match.expand`."""

    def match(self, text: str, what: str) -> re.Match[str]:
        """Match the pattern, or raise `WordError`; `what` is how the sentence calls the amount."""
        if len(text) > WORD_MAX_LENGTH:
            raise self.out_of_range(what, text, f"it is longer than {WORD_MAX_LENGTH} characters")
        match = self.pattern.fullmatch(text)
        if match is None:
            raise WordError(self._sentence(what, text, self._why_not(text)))
        return match

    def number(self, value: object, what: str) -> Fraction:
        """A plain number; a float as its shortest decimal, so that 0.1 is exactly a tenth."""
        # `gpu: no` in YAML is a boolean, and a boolean in Python is an int.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WordError(self._sentence(what, value, "it is neither text nor a number"))
        if isinstance(value, float) and not math.isfinite(value):
            raise WordError(self._sentence(what, value, "it is not a finite number"))
        if value < 0:
            raise WordError(self._sentence(what, value, "it is negative"))
        return Fraction(value) if isinstance(value, int) else Fraction(repr(value))

    def out_of_range(self, what: str, written: Word, why: str) -> WordRangeError:
        """Refuse an amount that is understood; `why` is the part of the sentence that explains it."""
        return WordRangeError(self._sentence(what, written, why))

    def _why_not(self, text: str) -> str:
        for mistake, why in (_COMMON_MISTAKES | self.mistakes).items():
            if match := re.fullmatch(mistake, text, re.DOTALL):
                return match.expand(why)
        return "it is not understood"

    def _sentence(self, what: str, value: object, why: str) -> str:
        # Python refuses to print integers of more than 4,300 digits.
        huge = isinstance(value, int) and value.bit_length() > 64
        shown = "of more than 64 bits" if huge else repr(value)
        shown = shown if len(shown) <= WORD_MAX_LENGTH else f"{shown[:WORD_MAX_LENGTH]}..."
        return f"{what} {shown} cannot be used: {why}. Accepted: {self.forms}."


_COMMON_MISTAKES: Final = {
    r"\s*": "it is empty",
    r"\s.*|.*\s": "it begins or ends with a space",
    r"-.*": "it is negative",
    r".*,.*": "it has a comma in it; numbers take a point for decimals and nothing for thousands",
}
