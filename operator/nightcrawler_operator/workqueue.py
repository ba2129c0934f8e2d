"""The work queue: keys to reconcile, each at most once, none by two workers at a time.

The semantics are those of client-go's workqueue. A key that is added while a worker processes it is
queued again once that worker is done, so that no change is missed and no key is processed twice at
once. Delayed keys wait in one heap behind one timer of the event loop.

For use inside one event loop; only `get` awaits, so there are no locks. Moments are those of the loop's clock
(`loop.time()`, which is `time.monotonic()`), spans seconds.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF: Final = 0.05
LONGEST_BACKOFF: Final = 60.0
_SLACK: Final = 64
_DOUBLINGS: Final = 11  # more than lead from the first back-off to the longest


class QueueClosed(Exception):
    """The queue was closed; the worker can stop."""


class WorkQueue(Generic[K]):
    """Keys to process, now or later. A worker takes one with `get` and finishes with `done`.

    Args:
        may_start: Whether another key may be processed while so many are; asked again after each `done` and
            `ask_again`.
        counts: Which keys `outstanding` counts.
        on_none_outstanding: Called when `outstanding` has fallen to 0.
    """

    def __init__(
        self,
        *,
        may_start: Callable[[int], bool] = lambda _: True,
        counts: Callable[[K], bool] = lambda _: False,
        on_none_outstanding: Callable[[], None] = lambda: None,
    ) -> None:
        self.added = 0
        """How many keys were ever added; one that was queued already does not count again."""
        self.retried = 0
        """How many retries were ever requested."""
        self.outstanding = 0
        """How many of the keys that count are ready for a worker or being processed."""
        self._ready: deque[K] = deque()
        # One permit for each key in `_ready`; the semaphore wakes one worker a key, in turn.
        self._permits = asyncio.Semaphore(0)
        # Keys to process, and since when; those being processed as well are not in `_ready`.
        self._dirty: dict[K, float] = {}
        # Keys being processed, and since when they had been queued.
        self._processing: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        # Entries superseded by an earlier deadline stay in the heap until their own moment.
        self._heap: list[tuple[float, int, K]] = []
        self._deadlines: dict[K, float] = {}
        # Keys need not be comparable: of two with the same deadline, the one added first goes first.
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._may_start = may_start
        self._counts = counts
        self._on_none_outstanding = on_none_outstanding
        self._asked_again = asyncio.Event()
        self._paused = 0
        self._closed = False

    def __len__(self) -> int:
        """The number of keys ready for a worker."""
        return len(self._ready)

    @property
    def in_process(self) -> int:
        """The number of keys being processed."""
        return len(self._processing)

    @property
    def delayed(self) -> int:
        """The number of delayed keys."""
        return len(self._deadlines)

    @property
    def oldest_age(self) -> float:
        """How long the oldest key has waited, be it for a worker or for the one that processes it."""
        first = next(iter(self._dirty.values()), None)
        return 0.0 if first is None else asyncio.get_running_loop().time() - first

    def wanted_since(self, key: K) -> float | None:
        """When a key being processed was added; None if no worker has it."""
        return self._processing.get(key)

    def add(self, key: K) -> None:
        """Queue a key for the next free worker."""
        if self._closed or key in self._dirty:
            return
        self.added += 1
        self._dirty[key] = asyncio.get_running_loop().time()
        if key not in self._processing:
            self._enqueue(key)
            self._count(key, 1)

    def add_at(self, key: K, moment: float) -> None:
        """Queue a key at a moment; an earlier one that it already has stands."""
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
            self._set_timer(loop, moment)

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key in so many seconds; an earlier moment that it already has stands."""
        self.add_at(key, asyncio.get_running_loop().time() + seconds)

    def retry(self, key: K, *, at_least: float = 0.0) -> float:
        """Queue a key again after a failure, with exponential back-off until `forget`.

        Args:
            key: The key; its worker still calls `done`.
            at_least: The shortest delay in seconds, such as the API server's Retry-After.

        Returns:
            The delay in seconds, up to a quarter less than the plain back-off, so that keys that failed
            together are not retried together.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retried += 1
        backoff = min(FIRST_BACKOFF * (1 << min(failures, _DOUBLINGS)), LONGEST_BACKOFF)
        seconds = max(at_least, backoff * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load, hides nothing
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Reset a key's back-off; needed also for a key that will not come back."""
        self._failures.pop(key, None)

    def drop_deadline(self, key: K) -> None:
        """Drop a key's delayed entry: nothing is to be done for it until it is added again."""
        self._deadlines.pop(key, None)

    async def get(self) -> K:
        """The key that has been ready for longest; no other worker gets it until `done`.

        Raises:
            QueueClosed: The queue is closed.
        """
        while True:
            await self._permits.acquire()
            if self._closed:
                self._permits.release()
                raise QueueClosed
            if not self._ready:
                continue  # `clear` has dropped the key of this permit
            if not self._paused and self._may_start(len(self._processing)):
                key = self._ready.popleft()
                self._processing[key] = self._dirty.pop(key)
                return key
            self._permits.release()
            self._asked_again.clear()
            await self._asked_again.wait()

    async def pause(self) -> None:
        """Let a worker wait, between two steps for its key, until that key might start now.

        It goes on before any other key starts.
        """
        self._paused += 1
        try:
            while not self._closed and not self._may_start(len(self._processing) - self._paused):
                self._asked_again.clear()
                await self._asked_again.wait()
        finally:
            self._paused -= 1
            self.ask_again()

    def ask_again(self) -> None:
        """Let the workers that wait ask again whether another key may be processed."""
        self._asked_again.set()

    def done(self, key: K) -> None:
        """Finish a key that `get` returned; if it was added meanwhile, it is queued again."""
        del self._processing[key]
        if key in self._dirty:
            self._enqueue(key)
        else:
            self._count(key, -1)
        self.ask_again()

    def clear(self) -> None:
        """Drop all keys but those being processed: another replica leads."""
        while self._ready:
            self._count(self._ready.popleft(), -1)
        self._dirty.clear()
        self._failures.clear()
        self._heap.clear()
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Drop all keys, accept no more, and stop the workers."""
        self.clear()
        self._closed = True
        # Each worker that takes this permit releases it for the next.
        self._permits.release()
        self.ask_again()

    def _enqueue(self, key: K) -> None:
        self._ready.append(key)
        self._permits.release()

    def _count(self, key: K, change: int) -> None:
        if self._counts(key):
            self.outstanding += change
            if self.outstanding == 0:
                self._on_none_outstanding()

    def _set_timer(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(moment, self._on_timer)

    def _compact(self) -> None:
        """Remove superseded entries from the heap, which might otherwise stay for long."""
        self._heap = [entry for entry in self._heap if self._deadlines.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)

    def _on_timer(self) -> None:
        """Add the keys that are due, and set the timer for the next."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._heap:
            moment, _, key = self._heap[0]
            superseded = self._deadlines.get(key) != moment
            if not superseded and moment > now:
                self._set_timer(loop, moment)
                return
            heapq.heappop(self._heap)
            if not superseded:
                del self._deadlines[key]
                self.add(key)
