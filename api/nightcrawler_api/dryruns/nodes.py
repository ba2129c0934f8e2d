"""The nodes of the cluster, for dry runs.

The facade does not watch them: a thousand nodes change all the time, and dry runs are few. But a person who
edits a workflow asks several times in a row, so that a list serves for a few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from nightcrawler_crds.errors import Forbidden
from nightcrawler_crds.kube.nativeviews import NodeView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import NODES
from nightcrawler_crds.planning.nodes import Nodes, nodes_as_seen

KEEP_SECONDS: Final = 3.0


class ListedNodes:
    """Lists nodes, at most once in a few seconds."""

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._listing = asyncio.Lock()
        self._listed: Nodes | None = None
        self._until = float("-inf")

    async def current(self) -> Nodes | None:
        """The nodes; None if the facade may not list them. Raises `ApiError` if they cannot be listed."""
        async with self._listing:
            if self._now() >= self._until:
                began = self._now()
                self._listed = await self._list()
                self._until = began + KEEP_SECONDS
            return self._listed

    async def _list(self) -> Nodes | None:
        try:
            return nodes_as_seen(await self._store.list_all(NODES, "", NodeView, on_unreadable=_leave_out))
        except Forbidden:
            return None


def _leave_out(_: object) -> None:
    """Of a node that cannot be read nothing is known."""
