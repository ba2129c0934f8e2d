"""Cron expressions and intervals: what is accepted. Pure.

A cron expression has the five fields of Debian's cron, plus ``L`` and ``#``, or is one of five words
such as ``@daily``. Extensions of other programs (fields for seconds or years, ``TZ=``, ``@every 5m``)
are refused: an expression that is only half understood runs at the wrong time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

from nightcrawler_crds.v1alpha1 import Schedule
from nightcrawler_crds.words import format_duration_words, parse_duration

MIN_INTERVAL: Final = 10.0
"""Shortest interval, in seconds."""

_WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_FIELDS: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31, L (the last day) and LW (the last weekday)",
    "month": "1 to 12 and JAN to DEC",
    "day of the week": "0 to 7 (both are Sunday), SUN to SAT, 5L (the last Friday), 1#2 (the second Monday)",
}
_COMBINED: Final = "; * is any value, and lists (1,5), ranges (1-5) and steps (*/5) work too"
_NAMES: Final = ", ".join(_FIELDS)
_ZONE: Final = re.compile(r"\s*(?:CRON_)?TZ\s*=", re.IGNORECASE)
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class CronError(ValueError):
    """A cron expression that is refused; the message names the field, and what it accepts."""


def cron_fields(line: str) -> str:
    """The five fields of a cron expression; words such as ``@daily`` are expanded.

    Raises:
        CronError: It is not a cron expression.
    """
    text = line.strip(" \t")
    if text.startswith("@"):
        if text not in _WORDS:
            raise _refusal(line, f"the words are {', '.join(_WORDS)}")
        return _WORDS[text]
    if _ZONE.match(text):
        raise _refusal(line, f"it cannot name a time zone; it has five fields: {_NAMES}")
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise _refusal(line, f"it has {_counted(len(fields))}, and cron has five: {_NAMES}")
    if "\n" in text or "\r" in text:
        raise _refusal(line, "it has a line break in it")
    for place, (name, takes) in enumerate(_FIELDS.items()):
        alone = ["*"] * len(_FIELDS)
        alone[place] = fields[place]
        if not _is_understood(alone):
            raise _refusal(line, f"{name} {fields[place]!r} is not understood; it takes {takes}{_COMBINED}")
    if not _is_understood(fields):
        raise _refusal(line, f"none of its months has a day {fields[2]}")
    return " ".join(fields)


def problems(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """What is wrong with a schedule: the field, and a sentence."""
    if schedule.cron is not None:
        try:
            cron_fields(schedule.cron)
        except CronError as error:
            yield "cron", str(error)
    if schedule.interval is not None and parse_duration(schedule.interval) < MIN_INTERVAL:
        shortest = format_duration_words(MIN_INTERVAL)
        yield "interval", f"interval {schedule.interval!r} cannot be used: the shortest is {shortest}"


def _is_understood(fields: list[str]) -> bool:
    try:
        CronSim(" ".join(fields), _ANY_TIME)
    except CronSimError:
        return False
    return True


def _counted(number: int) -> str:
    return f"{number} field" if number == 1 else f"{number} fields"


def _refusal(line: str, why: str) -> CronError:
    return CronError(f"cron {line!r} cannot be used: {why}")
