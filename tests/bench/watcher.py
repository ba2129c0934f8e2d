"""An independent watcher: when Pods came to be and ended, by its own clock.

`creationTimestamp` has a grain of a second, so the times are those at which this watch told.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nightcrawler_crds import names
from nightcrawler_crds.informer import Informer
from nightcrawler_crds.views import ExecutionView, PodView
from tests.bench.site import NAMESPACE, Site

PodKey = tuple[str, str]
"""Execution and step."""


@dataclass
class Seen:
    """When what was first seen, in seconds of the monotonic clock."""

    created: dict[PodKey, float] = field(default_factory=dict)
    succeeded: dict[PodKey, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    """Executions by name; those that have ended leave the live selection."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, done: Callable[[], bool], patience: float) -> None:
        """Wait until something holds, looking whenever anything was seen.

        Raises:
            TimeoutError: It did not come to hold in time.
        """
        async with asyncio.timeout(patience):
            while not done():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def watching(site: Site) -> AsyncIterator[Seen]:
    """Watch Pods and executions from now on."""
    seen = Seen()

    def pod(old: PodView | None, new: PodView | None) -> None:
        del old
        if new is None:
            return
        key = (new.metadata.labels.execution, new.metadata.annotations.step)
        seen.created.setdefault(key, time.monotonic())
        if new.status.phase == "Succeeded":
            seen.succeeded.setdefault(key, time.monotonic())
        seen.changed.set()

    def execution(old: ExecutionView | None, new: ExecutionView | None) -> None:
        if new is None and old is not None:
            seen.ended.setdefault(old.metadata.name, time.monotonic())
            seen.changed.set()

    pods = Informer(site.store, names.PODS, PodView, namespace=NAMESPACE, on_change=pod)
    executions = Informer(
        site.store,
        names.EXECUTIONS,
        ExecutionView,
        namespace=NAMESPACE,
        field_selector=names.PHASE_SELECTOR_LIVE,
        on_change=execution,
    )
    tasks = [asyncio.create_task(informer.run()) for informer in (pods, executions)]
    try:
        await asyncio.gather(pods.synced.wait(), executions.synced.wait())
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
