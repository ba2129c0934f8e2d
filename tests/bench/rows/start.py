"""Start: from an accepted request to the first Pod seen; one after another, then all at once."""

from __future__ import annotations

import time

from tests.bench.figures import milliseconds, percentile
from tests.bench.load import create_chain, execute, execute_many
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.watcher import Seen, watching


async def measure(sizes: Sizes) -> dict[str, float]:
    """`p50_ms`, `p99_ms` one after another; `burst_p50_ms`, `burst_p99_ms` all at once."""
    async with site() as here, watching(here) as seen:
        await create_chain(here, "one", 1)
        for number in range(10):
            await _one(here, seen, f"warm-{number}")
        alone = [await _one(here, seen, f"alone-{number}") for number in range(sizes.starts)]
        began = time.monotonic()
        burst = await execute_many(here, "one", "burst", sizes.starts)
        await seen.until(lambda: all((name, "step-0") in seen.created for name in burst), 300)
        waits = [seen.created[name, "step-0"] - began for name in burst]
    return {
        "p50_ms": milliseconds(percentile(alone, 0.5)),
        "p99_ms": milliseconds(percentile(alone, 0.99)),
        "burst_p50_ms": milliseconds(percentile(waits, 0.5)),
        "burst_p99_ms": milliseconds(percentile(waits, 0.99)),
    }


async def _one(here: Site, seen: Seen, name: str) -> float:
    await execute(here, "one", name)
    accepted = time.monotonic()
    await seen.until(lambda: (name, "step-0") in seen.created, 60)
    return max(0.0, seen.created[name, "step-0"] - accepted)
