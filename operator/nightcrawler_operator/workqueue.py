"""The queue of what is to be looked at: keys, each at most once, none by two workers at a time.

The semantics are those of client-go's workqueue. A key that is added while a worker has it is
given out again once that worker is done, so that no change is missed and no key is worked on
twice at once. What is to be looked at later waits in one heap behind one timer of the event loop.

For use inside one event loop; nothing here waits or can be interrupted except `get`, so there are no
locks. Moments are those of the loop's clock (`loop.time()`, which is `time.monotonic()`), spans seconds.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF: Final = 0.05
LONGEST_BACKOFF: Final = 60.0
_SLACK: Final = 64
_DOUBLINGS: Final = 11  # more than lead from the first back-off to the longest


class QueueClosed(Exception):
    """The queue was closed; the worker that asked can go home."""


class WorkQueue(Generic[K]):
    """Keys to be worked on, now or later. A worker asks with `get` and ends with `done`."""

    def __init__(self) -> None:
        self.added = 0
        """How many keys were put in line, ever; one that was in line already does not count again."""
        self.retried = 0
        """How many retries were asked for, ever."""
        self._ready: deque[K] = deque()
        # One permit for each key in `_ready`; a semaphore wakes one worker a key, in turn.
        self._permits = asyncio.Semaphore(0)
        # Keys that want work, and since when; those that a worker has as well are not in `_ready`.
        self._dirty: dict[K, float] = {}
        # Keys that workers have, and since when those wanted work.
        self._processing: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        # Entries that an earlier deadline has superseded stay in the heap until their own moment.
        self._heap: list[tuple[float, int, K]] = []
        self._deadlines: dict[K, float] = {}
        # Keys need not be comparable: of two with the same deadline, the first to come goes first.
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """The keys that a worker could have at once."""
        return len(self._ready)

    @property
    def in_process(self) -> int:
        """The keys that workers have."""
        return len(self._processing)

    @property
    def delayed(self) -> int:
        """The keys that wait for their moment."""
        return len(self._deadlines)

    @property
    def oldest_age(self) -> float:
        """How long the key has waited that was added first, be it for a worker or for its own to be done."""
        first = next(iter(self._dirty.values()), None)
        return 0.0 if first is None else asyncio.get_running_loop().time() - first

    def wanted_since(self, key: K) -> float | None:
        """When the key that a worker has was added; None if no worker has it."""
        return self._processing.get(key)

    def add(self, key: K) -> None:
        """Have a key worked on as soon as a worker is free."""
        if self._closed or key in self._dirty:
            return
        self.added += 1
        self._dirty[key] = asyncio.get_running_loop().time()
        if key not in self._processing:
            self._line_up(key)

    def add_at(self, key: K, moment: float) -> None:
        """Have a key worked on at a moment; if it waits for an earlier one already, that stands."""
        loop = asyncio.get_running_loop()
        if moment <= loop.time():
            self.add(key)
            return
        known = self._deadlines.get(key)
        if self._closed or (known is not None and known <= moment):
            return
        self._deadlines[key] = moment
        if len(self._heap) > _SLACK + 2 * len(self._deadlines):
            self._compact()
        heapq.heappush(self._heap, (moment, next(self._order), key))
        if self._heap[0][0] == moment:
            self._wind_up(loop, moment)

    def add_after(self, key: K, seconds: float) -> None:
        """Have a key worked on in so many seconds; if it waits for an earlier moment already, that stands."""
        self.add_at(key, asyncio.get_running_loop().time() + seconds)

    def retry(self, key: K, *, at_least: float = 0.0) -> float:
        """Have a key worked on again after a failure, twice as late each time until `forget`.

        Args:
            key: The key; whoever has it still calls `done`.
            at_least: Seconds that somebody (the API server's Retry-After) asked for.

        Returns:
            The seconds until then. They are up to a quarter fewer than the plain back-off, so that
            keys that failed together are not tried together.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retried += 1
        backoff = min(FIRST_BACKOFF * (1 << min(failures, _DOUBLINGS)), LONGEST_BACKOFF)
        seconds = max(at_least, backoff * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load, hides nothing
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Let the next failure of a key be its first; a key that will not come back must be forgotten too."""
        self._failures.pop(key, None)

    def drop_deadline(self, key: K) -> None:
        """Wait for no moment any more: nothing is left to do for this key until it is added again."""
        self._deadlines.pop(key, None)

    async def get(self) -> K:
        """The key that has been in line for longest; nobody else gets it until `done`.

        Raises:
            QueueClosed: The queue is closed.
        """
        while True:
            await self._permits.acquire()
            if self._closed:
                self._permits.release()
                raise QueueClosed
            if self._ready:  # else the permit was for a key that `clear` has taken away
                key = self._ready.popleft()
                self._processing[key] = self._dirty.pop(key)
                return key

    def done(self, key: K) -> None:
        """Give a key back that `get` gave; if it was added meanwhile, it is in line again."""
        del self._processing[key]
        if key in self._dirty:
            self._line_up(key)

    def clear(self) -> None:
        """Drop everything but what workers have: it is another leader's now."""
        self._ready.clear()
        self._dirty.clear()
        self._failures.clear()
        self._heap.clear()
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Drop everything, take nothing more, and send the workers home."""
        self.clear()
        self._closed = True
        # Whoever takes this permit hands it on to the next.
        self._permits.release()

    def _line_up(self, key: K) -> None:
        self._ready.append(key)
        self._permits.release()

    def _wind_up(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(moment, self._ring)

    def _compact(self) -> None:
        """Leave out of the heap what has been superseded, and may not come up for long."""
        self._heap = [entry for entry in self._heap if self._deadlines.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)

    def _ring(self) -> None:
        """Add what is due, and wait for the next."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._heap:
            moment, _, key = self._heap[0]
            superseded = self._deadlines.get(key) != moment
            if not superseded and moment > now:
                self._wind_up(loop, moment)
                return
            heapq.heappop(self._heap)
            if not superseded:
                del self._deadlines[key]
                self.add(key)
