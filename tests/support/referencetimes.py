"""The times of schedules, found by looking at every minute: slow, and independent of what it checks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from nightcrawler_crds.scheduletimes import zone_names

MINUTE: Final = timedelta(minutes=1)
_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def is_shown(line: str, wall: datetime) -> bool:
    """Whether a line of five plain fields (numbers, lists, ranges, steps) is about this wall-clock minute."""
    minute, hour, day, month, weekday = line.split()
    dates = (_takes(day, 2, wall.day), any(_takes(weekday, 4, n) for n in _weekdays(wall)))
    # Debian's rule: of two restricted fields either is enough.
    date = all(dates) if day.startswith("*") or weekday.startswith("*") else any(dates)
    return (
        _takes(minute, 0, wall.minute)
        and _takes(hour, 1, wall.hour)
        and _takes(month, 3, wall.month)
        and date
    )


def _weekdays(wall: datetime) -> tuple[int, ...]:
    number = wall.isoweekday()
    return (0, 7) if number == 7 else (number,)


def _takes(field: str, place: int, value: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, high = _RANGES[place]
        if span != "*":
            first, _, last = span.partition("-")
            low = int(first)
            high = int(last) if last else (high if step else low)
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def times_between(line: str, zone: tzinfo, begin: datetime, end: datetime) -> list[datetime]:
    """All times of a line after `begin` and up to `end`, which are whole minutes."""
    minute, hour, *_ = line.split()
    every_minute = minute.startswith("*") or hour.startswith("*")
    found = []
    at = begin
    shown = _wall(at, zone)
    while at < end:
        at += MINUTE
        wall = _wall(at, zone)
        if every_minute:
            if is_shown(line, wall):
                found.append(at)
            continue
        # What the clock shows for the first time, or has passed for the first time.
        fresh = False
        while shown < wall:
            shown += MINUTE
            fresh = fresh or is_shown(line, shown)
        if fresh:
            found.append(at)
    return found


def _wall(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def changes_of_clocks(first_year: int, last_year: int) -> Iterator[tuple[str, datetime]]:
    """A zone and a moment of each kind of change of clocks that there is, in any zone.

    A kind is the time on the clock, by how much it is set, and the odd minutes of the zone.
    """
    seen = set()
    for name in sorted(zone_names()):
        for at in _changes(ZoneInfo(name), first_year, last_year):
            zone = ZoneInfo(name)
            before = (at - MINUTE).astimezone(zone).utcoffset()
            after = at.astimezone(zone).utcoffset()
            assert before is not None
            assert after is not None
            kind = (_wall(at - MINUTE, zone).time(), after - before, before % timedelta(hours=1))
            if kind not in seen:
                seen.add(kind)
                yield name, at


def _changes(zone: ZoneInfo, first_year: int, last_year: int) -> Iterator[datetime]:
    at, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + timedelta(days=7)
        if at.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            low, high = at, following
            while high - low > MINUTE:
                middle = low + (high - low) // 2 // MINUTE * MINUTE
                if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            yield high
        at = following
