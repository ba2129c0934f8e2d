"""Where a reader of a log is, so that it continues there without gap or repetition; pure.

A kubelet serves the lines of a log from a time on, to the second, in the order of its file. So a place is a
second and the number of lines from it that have been read. Standard output and error are stamped apart: a
line may be a little older than the one before, which is why the second is some before the newest. When the
kubelet starts another file, it serves only that: then lines are counted that are not there any more, which
shows in lines newer than any before.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from typing_extensions import override

_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)(?: |$)")
_PLACE: Final = re.compile(r"(\d{1,9})\.(\d{1,12})\.(\d{1,12})\.(\d{1,21})")
_BEFORE_SECONDS: Final = 2
_NANO: Final = 10**9


@dataclass(frozen=True, slots=True)
class Place:
    """What has been read of an attempt's log: `count` lines stamped at `second` or later.

    `newest` is the newest stamp of all, in nanoseconds since 1970.
    """

    attempt: int
    second: int = 0
    count: int = 0
    newest: int = 0

    @override
    def __str__(self) -> str:
        return f"{self.attempt}.{self.second}.{self.count}.{self.newest}"

    @property
    def since(self) -> str | None:
        """The time from which to read, in the API server's form; None from the beginning."""
        return f"{datetime.fromtimestamp(self.second, UTC):%Y-%m-%dT%H:%M:%SZ}" if self.second > 0 else None


def parse(text: str | None) -> Place | None:
    """A place from its text; None if it is none."""
    found = _PLACE.fullmatch(text or "")
    return Place(*map(int, found.groups())) if found and int(found[2]) < 10**11 else None


def stamp_of(line: bytes) -> int | None:
    """The time before a line, in nanoseconds since 1970; None if there is none."""
    found = _STAMP.match(line)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat((found[1] + found[3].replace(b"Z", b"+00:00")).decode())
    except ValueError:
        return None
    return int(moment.timestamp()) * _NANO + int((found[2] or b"0").ljust(9, b"0"))


class Read(Enum):
    """What a line is to a reader."""

    AGAIN = "again"
    NEW = "new"
    NEW_AFTER_A_GAP = "new after a gap"


class Reader:
    """Sorts the lines of one request, from a place on, into those that were read before and new ones."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._begin = place
        self._expected = place.count
        self._seconds: Counter[int] = Counter()
        self._read = 0
        self._has_last_line = place.count == 0

    def take(self, line: bytes) -> Read:
        """What the next line is."""
        stamp = stamp_of(line)
        again = self._read < self._expected
        if stamp is None:
            # The rest of a line that begins before the place, or a message of the kubelet.
            return Read.AGAIN if again or (self._read == 0 and self._place.count > 0) else Read.NEW
        self._read += 1
        self._has_last_line |= stamp == self._begin.newest
        self._seconds[stamp // _NANO] += 1
        if again and stamp <= self._place.newest:
            return Read.AGAIN
        gap = again
        self._expected = 0
        self._place = self._after(max(stamp, self._place.newest))
        return Read.NEW_AFTER_A_GAP if gap else Read.NEW

    @property
    def place(self) -> Place:
        """The place after the lines that were taken."""
        return self._place

    @property
    def may_lack_end(self) -> bool:
        """Whether lines after the place where it began may be lost, once all that is served has been taken.

        The last line before that place was not served again, and nothing new was: the kubelet has started
        another file, and what was written to the earlier one meanwhile is not served any more.
        """
        return not self._has_last_line and self._place == self._begin

    def _after(self, newest: int) -> Place:
        second = max(newest // _NANO - _BEFORE_SECONDS, self._place.second)
        for old in [one for one in self._seconds if one < second]:
            del self._seconds[old]
        return Place(self._place.attempt, second, self._seconds.total(), newest)
