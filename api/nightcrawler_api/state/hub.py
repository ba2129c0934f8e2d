"""Changes of cached objects: published once, by the caches, and delivered to any number of followers.

A follower is either a function, called at once and in order, or a queue for code that takes longer: an
event stream, an archive. Neither can stop or delay the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from nightcrawler_crds.kube.cache import HasMeta, OnChange

log = logging.getLogger(__name__)

V = TypeVar("V", bound=HasMeta)

_QUEUE_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """A change of one object: `old` is None if it is new, `new` if it was deleted.

    Attributes:
        kind: The plural name of the kind, such as `workflows`.
    """

    kind: str
    old: V | None
    new: V | None


@dataclass(frozen=True, slots=True)
class Resync:
    """Changes were lost: read the current state, then go on with the changes that follow."""


Follower = Callable[[Change[Any]], None]


class Hub:
    """Delivers changes to followers; for one event loop, and not from within a follower."""

    def __init__(self) -> None:
        self._followers: dict[object, Follower] = {}

    def publisher(self, kind: str) -> OnChange[Any]:
        """The `on_change` of a cache of this kind."""

        def publish(old: Any, new: Any) -> None:
            self.publish(Change(kind, old, new))

        return publish

    def publish(self, change: Change[Any]) -> None:
        """Call every follower; one that raises is logged, and stays subscribed."""
        for token, follower in tuple(self._followers.items()):
            if token not in self._followers:
                continue  # unsubscribed by a follower before it
            try:
                follower(change)
            except Exception:
                log.exception("a follower of changes failed on one of %s", change.kind)

    def subscribe(self, follower: Follower) -> Callable[[], None]:
        """Call a function with every change from now on; returns what ends that."""
        token = object()
        self._followers[token] = follower
        return lambda: self._followers.pop(token, None) and None

    def queue(self, limit: int = _QUEUE_LIMIT) -> ChangeQueue:
        """Queue every change from now on, at most so many; close it when done."""
        return ChangeQueue(self, limit)


class ChangeQueue:
    """Changes for one asynchronous follower: `async for`, or `get`.

    When the limit is reached all queued changes are dropped and replaced with one `Resync`, so that a slow
    follower costs bounded memory and always learns that it has missed something.
    """

    def __init__(self, hub: Hub, limit: int) -> None:
        self._items: deque[Change[Any] | Resync] = deque()
        self._limit = limit
        self._wake = asyncio.Event()
        self._closed = False
        self._unsubscribe = hub.subscribe(self._put)

    def close(self) -> None:
        """Unsubscribe, drop what is queued, and end the iteration; may be repeated."""
        self._unsubscribe()
        self._items.clear()
        self._closed = True
        self._wake.set()

    async def get(self) -> Change[Any] | Resync | None:
        """The next change, waiting for it; None once the queue is closed."""
        while not self._items and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        return self._items.popleft() if self._items else None

    def __aiter__(self) -> ChangeQueue:
        return self

    async def __anext__(self) -> Change[Any] | Resync:
        """The next change, or the end of the iteration once the queue is closed."""
        item = await self.get()
        if item is None:
            raise StopAsyncIteration
        return item

    def _put(self, change: Change[Any]) -> None:
        if len(self._items) >= self._limit:
            self._items.clear()
            self._items.append(Resync())
        else:
            self._items.append(change)
        self._wake.set()
