"""Schedules: what is accepted, and the times of those that are. Pure.

A cron expression has the five fields of Debian's cron, plus ``L`` and ``#``, or is one of five words
such as ``@daily``. Extensions of other programs (fields for seconds or years, ``TZ=``, ``@every 5m``)
are refused: an expression that is only half understood runs at the wrong time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from cronsim import CronSim, CronSimError

from nightcrawler_crds.scheduletimes import (
    BoundedTimes,
    CronTimes,
    IntervalTimes,
    Times,
    UnknownZoneError,
    zone,
    zone_names,
)
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
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII
)
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class CronError(ValueError):
    """A cron expression that is refused; the message names the field, and what it accepts."""


@lru_cache(maxsize=1024)  # asked for at each look at a schedule, and six parsers run to answer
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
    if schedule.time_zone is not None and (unknown := zone_problem(schedule.time_zone)):
        yield "timeZone", f"timeZone {unknown}"
    yield from _bounds(schedule)


def zone_problem(name: str) -> str | None:
    """Why a time zone cannot be used, to be said after the field's name; None if it can."""
    try:
        zone(name)
    except UnknownZoneError:
        by_case = {known.lower(): known for known in zone_names()}
        near = get_close_matches(name.lower(), by_case, n=1, cutoff=0.8)
        hint = f"; is it {by_case[near[0]]!r} that was meant?" if near else ""
        return (
            f"{name!r} is not known; it takes names such as 'Europe/Berlin', 'America/New_York', 'UTC'{hint}"
        )
    return None


def times_of(schedule: Schedule, anchor: datetime, default_zone: str) -> Times:
    """The times of a schedule; an interval without start counts from the anchor.

    Raises:
        ValueError: It has problems, or no field with its times (which the schema requires).
    """
    start, end = _moment(schedule.start), _moment(schedule.end)
    times: Times
    if schedule.type == "cron":
        times = CronTimes(cron_fields(schedule.cron or ""), zone(schedule.time_zone or default_zone))
    else:
        seconds = parse_duration("" if schedule.interval is None else schedule.interval)
        times = IntervalTimes(start or anchor, seconds, at_once=start is not None)
    return times if start is None and end is None else BoundedTimes(times, start, end)


def _bounds(schedule: Schedule) -> Iterator[tuple[str, str]]:
    unreadable = False
    for field, text in (("start", schedule.start), ("end", schedule.end)):
        if text is not None and _moment(text) is None:
            unreadable = True
            yield field, f"{field} {text!r} is no time with its zone, such as '2025-07-10T14:45:00Z'"
    if not unreadable and schedule.start is not None and schedule.end is not None:
        start, end = _moment(schedule.start), _moment(schedule.end)
        assert start is not None
        assert end is not None
        if end < start:
            yield "end", f"end {schedule.end!r} is before start {schedule.start!r}, so it would never run"


def _moment(text: str | None) -> datetime | None:
    if text is None or not _RFC3339.match(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


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
