"""Which times are due: found by walking backwards from now, a bounded number of steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.scheduletimes import Times

_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DueTimes:
    """The newest times that are due, oldest first; `older` is the last of those before them, if any.

    `many`: there may be more than `counted` of these older ones.
    """

    newest: tuple[datetime, ...] = ()
    older: datetime | None = None
    counted: int = 0
    many: bool = False


def due_times(times: Times, decided: datetime, now: datetime, *, keep: int, count: int) -> DueTimes:
    """The times after `decided` and up to now: the newest `keep`, and of the older ones at most `count`."""
    newest: list[datetime] = []
    at: datetime | None = times.before(now + _INSTANT)
    while at is not None and at > decided and len(newest) < keep:
        newest.append(at)
        at = times.before(at)
    if at is None or at <= decided:
        return DueTimes(tuple(reversed(newest)))
    older, counted = at, 0
    while at is not None and at > decided and counted < count:
        counted += 1
        at = times.before(at)
    return DueTimes(tuple(reversed(newest)), older, counted, many=at is not None and at > decided)
