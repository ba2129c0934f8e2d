"""The times of a schedule: the next after a moment, and the one before it. Pure.

Cron lines follow the rules of Debian's cron. A line that names minutes and hours (`30 2 * * *`) is about what
the clock on the wall shows: a time that does not exist, because clocks are set forward, comes at the next
instant that does, and one that exists twice comes once. In a line whose minutes or hours begin with `*`,
every minute that the wall clock shows counts, so `*/30 * * * *` runs through both of two equal hours.

`cronsim` finds wall-clock times that match a line. What instants those are is worked out here: its own way
through a change of clocks loses times in zones whose clocks change by half an hour, or at midnight.
Intervals are counted from an anchor, so that nothing drifts. Moments are aware, results in UTC.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import resources
from typing import Final, Protocol

from cronsim import CronSim

_SECOND: Final = timedelta(seconds=1)
_INSTANT: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_FAR: Final = timedelta(hours=48)
"""Beyond this, a change of clocks cannot bring back what the wall clock shows now."""
_LARGEST_CHANGE: Final = timedelta(hours=26)
_ZERO: Final = timedelta(0)


class UnknownZoneError(ValueError):
    """There is no time zone of that name."""


class Times(Protocol):
    """The times of a schedule, in both directions, for ever."""

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment; None if there is none for 50 years."""
        ...

    def before(self, moment: datetime) -> datetime | None:
        """The last time before a moment; None if there is none."""
        ...


@functools.lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        UnknownZoneError: There is none. Names of files (`localtime`) are none either.
    """
    if name in ("UTC", "Etc/UTC"):
        return UTC
    if name not in zone_names():
        raise UnknownZoneError(name)
    # Here, so that a process whose schedules name no zone has none in memory.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - see the comment above

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZoneError(name) from error


class IntervalTimes:
    """Every so many seconds from an anchor, in whole seconds; the first is one interval after it.

    With `at_once`, the anchor itself is the first.
    """

    def __init__(self, anchor: datetime, seconds: float, *, at_once: bool = False) -> None:
        self._anchor = anchor.astimezone(UTC)
        self._step = timedelta(milliseconds=round(seconds * 1000))
        self._first = 0 if at_once else 1

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment."""
        number = max(self._first, (moment - self._anchor) // self._step)
        while self._time(number) <= moment:
            number += 1
        return self._time(number)

    def before(self, moment: datetime) -> datetime | None:
        """The last time before a moment; None if the first is not before it."""
        number = (moment - self._anchor) // self._step + 1
        while number >= self._first and self._time(number) >= moment:
            number -= 1
        return self._time(number) if number >= self._first else None

    def _time(self, number: int) -> datetime:
        return (self._anchor + number * self._step).replace(microsecond=0)


class CronTimes:
    """The times of the five fields of a cron line, in a time zone."""

    def __init__(self, fields: str, zone: tzinfo) -> None:
        self._fields = fields
        self._zone = zone
        minute, hour = fields.split()[:2]
        self._by_the_minute = minute.startswith("*") or hour.startswith("*")

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment."""
        return self._minute_after(moment) if self._by_the_minute else self._wall_after(moment)

    def before(self, moment: datetime) -> datetime | None:
        """The last time before a moment."""
        return self._minute_before(moment) if self._by_the_minute else self._wall_before(moment)

    # --- lines that name minutes and hours -----------------------------------------------------------

    def _wall_after(self, moment: datetime) -> datetime | None:
        found = self._match(self._wall(moment))
        while found is not None:
            # In the second of two equal hours, the first results are those of the first.
            if (instant := self._instant(found)) > moment:
                return instant
            found = self._match(found)
        return None

    def _wall_before(self, moment: datetime) -> datetime | None:
        # In the second of two equal hours, the wall clock has shown later times already.
        put_back = max(_ZERO, self._offset(moment - _LARGEST_CHANGE) - self._offset(moment))
        found = self._match(self._wall(moment) + put_back, back=True)
        while found is not None:
            if (instant := self._instant(found)) < moment:
                return instant
            found = self._match(found, back=True)
        return None

    def _instant(self, wall: datetime) -> datetime:
        """The first instant at which the wall clock shows this, or is past it for the first time."""
        instant = wall.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if self._wall(instant) == wall:
            return instant
        before = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        return self._change(min(before, instant), max(before, instant))

    # --- lines that count every minute ---------------------------------------------------------------

    def _minute_after(self, moment: datetime) -> datetime | None:
        """The first minute after a moment; from one change of clocks to the next, if there are any."""
        at, inclusive = moment.astimezone(UTC), False
        while True:
            wall = self._wall(at) - (_SECOND if inclusive else _ZERO)
            found = self._match(wall)
            if found is None:
                return None
            instant = (found - self._offset(at)).replace(tzinfo=UTC)
            change = self._first_change(at, min(instant, at + _FAR))
            if change is not None:
                at, inclusive = change, True
            elif instant <= at + _FAR:
                return instant
            else:
                at, inclusive = instant - _LARGEST_CHANGE, True

    def _minute_before(self, moment: datetime) -> datetime | None:
        """The last minute before a moment."""
        at = moment.astimezone(UTC)
        while True:
            offset = self._offset(at - _INSTANT)
            found = self._match((at + offset).replace(tzinfo=None), back=True)
            if found is None:
                return None
            instant = (found - offset).replace(tzinfo=UTC)
            change = self._last_change(max(instant, at - _FAR), at)
            if change is not None:
                at = change
            elif instant >= at - _FAR:
                return instant
            else:
                at = instant + _LARGEST_CHANGE

    # --- clocks --------------------------------------------------------------------------------------

    def _match(self, wall: datetime, *, back: bool = False) -> datetime | None:
        """The next time after (before) one that the wall clock shows; None if there is none."""
        minute = wall.replace(second=0, microsecond=0)
        try:
            # All times are whole minutes: asked for by the minute, thousands of workflows share an answer.
            return _match(self._fields, minute + _MINUTE if back and minute < wall else minute, back)
        except OverflowError:
            return None  # beyond the years that there are

    def _wall(self, instant: datetime) -> datetime:
        return instant.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _offset(self, instant: datetime) -> timedelta:
        return instant.astimezone(self._zone).utcoffset() or _ZERO

    def _first_change(self, begin: datetime, end: datetime) -> datetime | None:
        """The first change of clocks after `begin` and up to `end`."""
        if self._zone is UTC:
            return None
        offset, low = self._offset(begin), begin
        while low < end:
            high = min(low + _HOUR, end)
            if self._offset(high) != offset:
                return self._change(low, high)
            low = high
        return None

    def _last_change(self, begin: datetime, end: datetime) -> datetime | None:
        """The last change of clocks after `begin` and before `end`."""
        if self._zone is UTC:
            return None
        high = end - _INSTANT
        offset = self._offset(high)
        while high > begin:
            low = max(high - _HOUR, begin)
            if self._offset(low) != offset:
                return self._change(low, high)
            high = low
        return None

    def _change(self, low: datetime, high: datetime) -> datetime:
        """The first second at which clocks are set as they are at `high`, and not as at `low`."""
        offset = self._offset(high)
        first, last = int(low.timestamp()), int(high.timestamp())
        while last - first > 1:
            middle = (first + last) // 2
            if self._offset(datetime.fromtimestamp(middle, UTC)) == offset:
                last = middle
            else:
                first = middle
        return datetime.fromtimestamp(last, UTC)


class BoundedTimes:
    """The times of another schedule from `start` to `end`, both included."""

    def __init__(self, times: Times, start: datetime | None, end: datetime | None) -> None:
        self._times = times
        self._start = start
        self._end = end

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment."""
        if self._start is not None:
            moment = max(moment, self._start - _INSTANT)
        found = self._times.after(moment)
        return None if found is None or (self._end is not None and found > self._end) else found

    def before(self, moment: datetime) -> datetime | None:
        """The last time before a moment."""
        if self._end is not None:
            moment = min(moment, self._end + _INSTANT)
        found = self._times.before(moment)
        return None if found is None or (self._start is not None and found < self._start) else found


@functools.lru_cache(maxsize=1024)  # thousands of workflows ask the same when they are due in the same minute
def _match(fields: str, minute: datetime, back: bool) -> datetime | None:
    return next(CronSim(fields, minute, reverse=back), None)
