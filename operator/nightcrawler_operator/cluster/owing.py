"""The executions that have ended and still owe something, through an informer of their own."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from nightcrawler_crds import names, phases
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, OwingView

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_SLACK: Final = 64


class OwingRuns:
    """Caches them, and finds the oldest when there are more than `most`.

    `on_change` is called as the cache's is: with the execution before and after, None if it owes nothing.
    """

    def __init__(
        self,
        store: Store,
        namespace: str,
        most: int,
        on_change: Callable[[OwingView | None, OwingView | None], None],
    ) -> None:
        self._most = most
        self._on_change = on_change
        # The oldest first; those that owe nothing any more stay in it until they come first.
        self._by_age: list[tuple[datetime, Key, str]] = []
        self.informer: Informer[OwingView] = Informer(
            store,
            names.EXECUTIONS,
            OwingView,
            namespace=namespace,
            field_selector=phases.OWING_SELECTOR,
            on_change=self._changed,
            # One that cannot be decoded may owe what needs its Jobs.
            keep_unreadable=True,
        )
        self.informer.title += "/owing"

    def __len__(self) -> int:
        return len(self.informer.cache)

    def __iter__(self) -> Iterator[OwingView]:
        return iter(self.informer.cache)

    def get(self, key: Key, uid: str = "") -> OwingView | None:
        """An execution that owes something; of this UID, if one is given."""
        known = self.informer.cache.get(key)
        return known if known is not None and uid in ("", known.metadata.uid) else None

    def record(self, execution: OwingView) -> None:
        """Cache an execution that we have written or read, without waiting for the watch."""
        meta = execution.metadata
        if execution.status.settled is False:
            self.informer.cache.upsert(execution)
        else:
            self.informer.cache.forget(meta.key, meta.uid, meta.version)

    def record_ended(self, execution: ExecutionView) -> None:
        """Cache an execution that we have observed to end, if it owes something."""
        if execution.status.settled is False:
            self.record(OwingView.of(execution))

    def one_too_many(self) -> Key | None:
        """The one that ended first, if more than `most` owe something."""
        if len(self) <= self._most:
            return None
        while self._by_age:
            _, key, uid = self._by_age[0]
            if _owes(self.get(key, uid)):
                return key
            heapq.heappop(self._by_age)
        return None

    def _changed(self, old: OwingView | None, new: OwingView | None) -> None:
        if new is not None and _owes(new) and not _owes(old):
            heapq.heappush(self._by_age, _age(new))
            if len(self._by_age) > _SLACK + 2 * len(self):
                self._by_age = [_age(one) for one in self if _owes(one)]
                heapq.heapify(self._by_age)
        self._on_change(old, new)


def _owes(execution: OwingView | None) -> bool:
    """Whether it owes something: it is there, can be decoded, and is not being deleted."""
    return (
        execution is not None
        and execution.status.settled is False
        and execution.metadata.deletion_timestamp is None
    )


def _age(execution: OwingView) -> tuple[datetime, Key, str]:
    return (execution.status.completion_time or _EPOCH, execution.metadata.key, execution.metadata.uid)
