"""When Pods were created and ended, measured by an independent watch and its own clock.

`creationTimestamp` has a resolution of a second, so the times are those at which this watch reports changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.informer import Informer
from tests.bench.engines import NAMESPACE, Meta, PodKey
from tests.bench.site import Site


class _PodStatus(msgspec.Struct, frozen=True, gc=False):
    phase: str = "Pending"


class _Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    status: _PodStatus = _PodStatus()


class _Run(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta


@dataclass
class Seen:
    """When each change was first observed, in seconds of the monotonic clock.

    Attributes:
        created: Pods by run and step.
        succeeded: The same, when their phase was Succeeded.
        begun: The names of all runs.
        ended: Runs by name, when they left the selection of active ones.
        pods: The UIDs of those Pods: as many as `created` has, unless a step had several.
    """

    created: dict[PodKey, float] = field(default_factory=dict)
    succeeded: dict[PodKey, float] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    ended: dict[str, float] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _awaited: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    def note_end(self, run: str) -> None:
        """A run has ended just now."""
        self.ended.setdefault(run, time.monotonic())
        awaited = self._awaited.pop(run, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)
        self.changed.set()

    async def end_of(self, run: str) -> None:
        """Wait for the end of one run. Many may be awaited at once, which would be too slow with `until`."""
        if run not in self.ended:
            await self._awaited.setdefault(run, asyncio.get_running_loop().create_future())

    async def until(self, done: Callable[[], bool], patience: float) -> None:
        """Wait until a condition holds, checking it after each change.

        Raises:
            TimeoutError: It did not hold in time.
        """
        async with asyncio.timeout(patience):
            while not done():
                self.changed.clear()
                await self.changed.wait()

    async def until_ended(self, runs: Iterable[str], patience: float) -> None:
        """Wait until all these runs have ended.

        Raises:
            TimeoutError: Not all have in time; says how many.
        """
        wanted = list(runs)
        try:
            async with asyncio.timeout(patience):
                for run in wanted:
                    await self.end_of(run)
        except TimeoutError:
            left = [run for run in wanted if run not in self.ended]
            raise TimeoutError(
                f"{len(left)} of {len(wanted)} runs have not ended in {patience:g} s, such as {left[0]}"
            ) from None


@asynccontextmanager
async def watching(site: Site) -> AsyncIterator[Seen]:
    """Watch Pods and runs from now on."""
    seen, engine = Seen(), site.engine

    def pod(old: _Pod | None, new: _Pod | None) -> None:
        del old
        key = engine.step_of(new.metadata) if new is not None else None
        if new is None or key is None:
            return
        now = time.monotonic()
        seen.created.setdefault(key, now)
        seen.pods.add(new.metadata.uid)
        if new.status.phase == "Succeeded":
            seen.succeeded.setdefault(key, now)
        seen.changed.set()

    def run(old: _Run | None, new: _Run | None) -> None:
        if new is not None:
            seen.begun.add(new.metadata.name)
        elif old is not None:
            seen.note_end(old.metadata.name)

    pods = Informer(site.store, names.PODS, _Pod, namespace=NAMESPACE, on_change=pod)
    runs = Informer(
        site.store,
        engine.live.resource,
        _Run,
        namespace=NAMESPACE,
        label_selector=engine.live.label_selector,
        field_selector=engine.live.field_selector,
        on_change=run,
    )
    tasks = [asyncio.create_task(pods.run()), asyncio.create_task(runs.run())]
    try:
        await asyncio.gather(pods.synced.wait(), runs.synced.wait())
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
