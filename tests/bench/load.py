"""The load: runs asked for one by one, all at once, or so that always as many are in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, Final

from tests.bench.engines import NAMESPACE, Defined
from tests.bench.shapes import Shape
from tests.bench.site import Site
from tests.bench.timing import Seen

_AT_ONCE: Final = 32
"""Requests under way at a time where there are thousands: all at once, the last would time out waiting."""


async def define(site: Site, name: str, shape: Shape) -> Defined:
    """A workflow of the site's engine."""
    return await site.engine.define(site.store, name, shape)


async def submit(site: Site, workflow: Defined, name: str) -> None:
    """One run; returns once it is accepted."""
    await site.engine.submit(site.store, workflow, name)


async def submit_many(site: Site, workflow: Defined, prefix: str, count: int) -> list[str]:
    """So many runs at once, named `<prefix>-<number>`; returns their names."""
    wanted = [f"{prefix}-{number}" for number in range(count)]
    await asyncio.gather(*(submit(site, workflow, name) for name in wanted))
    return wanted


async def submit_steadily(site: Site, workflow: Defined, prefix: str, count: int) -> list[str]:
    """So many runs, named `<prefix>-<number>`, a few at a time; returns their names once all are accepted."""
    wanted = [f"{prefix}-{number}" for number in range(count)]
    await side_by_side((submit(site, workflow, name) for name in wanted), _AT_ONCE)
    return wanted


async def side_by_side(work: Iterable[Awaitable[object]], at_once: int = _AT_ONCE) -> None:
    """Do all of this, so much at a time; the first error ends it."""
    waiting = iter(work)

    async def lane() -> None:
        for one in waiting:
            await one

    async with asyncio.TaskGroup() as lanes:
        for _ in range(at_once):
            lanes.create_task(lane())


async def keep_in_flight(
    site: Site, seen: Seen, workflow: Defined, prefix: str, *, count: int, in_flight: int, patience: float
) -> list[str]:
    """So many runs, of which `in_flight` run at any time: one that ends is followed by the next.

    Returns:
        Their names, once all have ended.

    Raises:
        TimeoutError: They have not all ended within `patience` seconds.
    """
    waiting = iter([f"{prefix}-{number}" for number in range(count)])
    submitted: list[str] = []

    async def lane() -> None:
        for name in waiting:
            submitted.append(name)
            await submit(site, workflow, name)
            await seen.end_of(name)

    async with asyncio.timeout(patience):
        await asyncio.gather(*(lane() for _ in range(min(in_flight, count))))
    return submitted


async def refuse_failures(site: Site, seen: Seen | None = None) -> int:
    """Make sure that every run so far went well, for the figures of failed ones mean nothing.

    Args:
        site: Where they ran; all of them must have ended.
        seen: With it, every step seen must have had one Pod, and that must have succeeded.

    Returns:
        How many Pods were seen.

    Raises:
        RuntimeError: A run failed, or a step had several Pods.
        TimeoutError: A Pod was not seen to succeed.
    """
    failed = site.engine.failed
    found = await site.store.list_all(
        failed.resource,
        NAMESPACE,
        dict[str, Any],
        label_selector=failed.label_selector,
        field_selector=failed.field_selector,
    )
    if found:
        raise RuntimeError(f"{len(found)} runs failed; the first: {found[0].get('status')}")
    if seen is None:
        return 0
    # Runs and Pods have a watch each: a Pod's end may be reported after its run's.
    await seen.until(lambda: seen.succeeded.keys() >= seen.created.keys(), 30)
    if len(seen.pods) > len(seen.created):
        raise RuntimeError(f"{len(seen.pods)} Pods for {len(seen.created)} steps")
    return len(seen.pods)
