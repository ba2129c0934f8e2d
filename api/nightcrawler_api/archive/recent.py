"""Pages of lists that were read a moment ago, of the state that the archive had then."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from nightcrawler_api.archive.contract import ArchivedPage
from nightcrawler_api.archive.state import State

_CURRENT_SECONDS: Final = 1.0
"""For so long a state is taken for the current one; then what other replicas have written is looked for."""
_PAGE_SECONDS: Final = 10.0
"""A page is read again after so long: the names of workflows can change while the state does not."""
_MOST_PAGES: Final = 100
_MOST_ROWS: Final = 200
"""Larger pages are not kept, so that all of them take at most about 10 MB."""


class RecentPages:
    """The pages of one state of the archive, as long as that is current.

    Many people look at the same few pages, again and again. Such a page is complete together with the cached
    executions as long as none of them is removed from the cache, which `end` reports.

    Attributes:
        ends: How often `end` was called.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.ends = 0
        self._current_until = 0.0
        self._state: tuple[str, int, int] | None = None
        self._pages: OrderedDict[Hashable, tuple[float, ArchivedPage]] = OrderedDict()

    def get(self, key: Hashable) -> ArchivedPage | None:
        """A page, if its state is still taken for the current one."""
        now = self._clock()
        if now >= self._current_until:
            return None
        until, page = self._pages.get(key, (0.0, None))
        return page if now < until else None

    def begin(self, state: State, ends: int) -> None:
        """Take a state for the current one, unless `end` was called since its reading began, with `ends`."""
        if (its := _name(state)) != self._state:
            self._pages.clear()
            self._state = its
        if ends == self.ends:
            self._current_until = self._clock() + _CURRENT_SECONDS

    def put(self, state: State, key: Hashable, page: ArchivedPage) -> None:
        """Keep a page that was read in this state."""
        if _name(state) != self._state or len(page.rows) > _MOST_ROWS:
            return
        self._pages[key] = (self._clock() + _PAGE_SECONDS, page)
        self._pages.move_to_end(key)
        if len(self._pages) > _MOST_PAGES:
            self._pages.popitem(last=False)

    def drop(self) -> None:
        """Keep none of the pages: what is in them has changed."""
        self._pages.clear()
        self.end()

    def end(self) -> None:
        """Read the archive again: it has changed, or the executions have that its pages complete."""
        self.ends += 1
        self._current_until = 0.0


def _name(state: State) -> tuple[str, int, int]:
    return state.name, state.removals, state.upto
