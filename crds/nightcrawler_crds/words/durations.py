"""Durations: "2 hours", "1h30m", and how they are displayed."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from nightcrawler_crds.clock import TWO_DIGITS
from nightcrawler_crds.words.grammar import NUMBER, Kind, Word

MAX_DURATION_SECONDS: Final = 365 * 24 * 3600

_TIME_UNIT: Final = (
    "(?:ms|[Mm]illiseconds?|[Ss](?:ec(?:ond)?s?)?|m|[Mm]in(?:ute)?s?"
    "|[Hh](?:ours?|rs?)?|[Dd](?:ays?)?|[Ww](?:eeks?)?)"
)
DURATION_PATTERN: Final = rf"^(?:{NUMBER}|{NUMBER} *{_TIME_UNIT}(?: *{NUMBER} *{_TIME_UNIT})*)$"
DURATION_FORMS: Final = (
    '"2 hours", "30 seconds", "1 hour 30 minutes", "1h30m", "500ms", "7 days", or a plain number of seconds'
)
# A timeout of 0 would end every attempt or run as soon as it starts.
_NONZERO: Final = r"(?:[0-9]*[1-9][0-9]*(?:\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)"
TIMEOUT_PATTERN: Final = (
    rf"^(?:{_NONZERO}|(?:{NUMBER} *{_TIME_UNIT} *)*{_NONZERO} *{_TIME_UNIT}(?: *{NUMBER} *{_TIME_UNIT})*)$"
)
TIMEOUT_FORMS: Final = f"{DURATION_FORMS}; more than 0"
MIN_TIMEOUT_SECONDS: Final = 0.001

_MILLISECONDS: Final = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1000),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
    **dict.fromkeys(("w", "week", "weeks"), 604_800_000),
}

_DURATION: Final = Kind(
    re.compile(DURATION_PATTERN),
    DURATION_FORMS,
    {
        ".*[0-9] *(?:M|[Mm]o|[Mm]onths?|[Yy]|[Yy]ears?)(?:[^A-Za-z].*)?": (
            'months and years differ in length; write days, and minutes as "m" or "minutes"'
        )
    },
)
_TIMEOUT: Final = Kind(re.compile(TIMEOUT_PATTERN), TIMEOUT_FORMS, {})
_DURATION_PART: Final = re.compile(r"([0-9.]+) *([A-Za-z]+)")


def parse_duration(value: Word, *, what: str = "duration") -> float:
    """Parse a duration to seconds, rounded to the millisecond; at most 365 days, never negative.

    A plain number is seconds. Parts add up, in any order, as in Go: "1h30m". A capital ``M`` is
    refused, since it could mean minutes or months. ``what`` names the duration in refusals:
    "timeout", "retryDelay".
    """
    if isinstance(value, str):
        return _seconds_of_text(value, what)
    return _seconds(_DURATION.number(value, what) * 1000, value, what)


@lru_cache(maxsize=1024)
def _seconds_of_text(text: str, what: str) -> float:
    _DURATION.match(text, what)
    parts = _DURATION_PART.findall(text) or [(text, "s")]
    total = sum(Fraction(number) * _MILLISECONDS[unit.lower()] for number, unit in parts)
    return _seconds(Fraction(total), text, what)


def _seconds(milliseconds: Fraction, written: Word, what: str) -> float:
    if milliseconds > MAX_DURATION_SECONDS * 1000:
        raise _DURATION.out_of_range(what, written, "it is more than 365 days")
    return round(milliseconds) / 1000


def parse_timeout(value: Word, *, what: str = "duration") -> float:
    """Parse a duration that must not be 0; otherwise like `parse_duration`."""
    seconds = parse_duration(value, what=what)
    # A number is compared with the schema's minimum before it is rounded.
    if (seconds if isinstance(value, str) else value) < MIN_TIMEOUT_SECONDS:
        raise _TIMEOUT.out_of_range(what, value, "it is no time at all; leave it out for the default")
    return seconds


def format_duration_words(seconds: float) -> str:
    """Format a duration: "2 hours", "1 hour 30 minutes"; negative counts as 0.

    Days are used from two on, so that a day reads "24 hours", as timeouts are usually written.
    `parse_duration` returns the same duration, to the millisecond.
    """
    rest = max(0, round(seconds * 1000))
    words = []
    for unit in ("day", "hour", "minute", "second", "millisecond"):
        size = _MILLISECONDS[unit]
        if unit == "day" and rest < 2 * size:
            continue
        amount, rest = divmod(rest, size)
        if amount:
            words.append(f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s")
    return " ".join(words) or "0 seconds"


def clock_short(seconds: float) -> str:
    """Format a step's duration: ``MM:SS``, from an hour on ``H:MM:SS``; negative counts as 0."""
    hours, minutes_and_seconds = _clock(seconds)
    return f"{hours}:{minutes_and_seconds}" if hours else minutes_and_seconds


def clock_long(seconds: float) -> str:
    """Format an execution's duration: ``HH:MM:SS``, hours may exceed 99; negative counts as 0."""
    hours, minutes_and_seconds = _clock(seconds)
    return f"{TWO_DIGITS[hours] if hours < len(TWO_DIGITS) else hours}:{minutes_and_seconds}"


def _clock(seconds: float) -> tuple[int, str]:
    """Hours, and ``MM:SS``; 0 if clocks disagree and the duration is negative."""
    minutes, rest = divmod(max(0, math.floor(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return hours, f"{TWO_DIGITS[minutes]}:{TWO_DIGITS[rest]}"
