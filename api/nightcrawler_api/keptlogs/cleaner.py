"""Removes kept logs: the oldest of those that are too much in all, and those that are too old.

The store itself says what there is: each log is a folder of objects, as old as the newest of them.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from nightcrawler_api.keptlogs.objects import Object, Objects
from nightcrawler_api.keptlogs.record import is_of_a_log


class Cleaner:
    """Looks at all logs in the store, and leaves alone what is no log.

    Attributes:
        stored_bytes: What the store had when it was last looked at.
        removed: How many logs were removed.
    """

    def __init__(self, objects: Objects, *, most_bytes: int, keep_seconds: float) -> None:
        self.stored_bytes = 0
        self.removed = 0
        self._objects = objects
        self._most_bytes = most_bytes
        self._keep = timedelta(seconds=keep_seconds)

    async def clean(self, now: datetime) -> None:
        """Look, and remove what has to go."""
        logs: defaultdict[str, list[Object]] = defaultdict(list)
        async for part in self._objects.list():
            for one in part:
                if is_of_a_log(one.path):
                    logs[one.path.rpartition("/")[0]].append(one)
        by_age = sorted(logs.values(), key=_changed)
        total = sum(map(_bytes, by_age))
        for log in by_age:
            if total <= self._most_bytes and now - _changed(log) <= self._keep:
                break
            # The record first: what has none is not read.
            await self._objects.delete(
                [one.path for one in sorted(log, key=lambda one: one.path, reverse=True)]
            )
            total -= _bytes(log)
            self.removed += 1
        self.stored_bytes = total


def _changed(log: list[Object]) -> datetime:
    return max(one.changed for one in log)


def _bytes(log: list[Object]) -> int:
    return sum(one.bytes for one in log)
