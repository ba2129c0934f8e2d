"""Start: from an accepted request to the first Pod seen; one after another, then all at once.

In the burst each run counts from its own acceptance, too; the wait from the first request of all on is
among the curves.
"""

from __future__ import annotations

import asyncio
import time

from tests.bench.engines import Defined, Engine
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.load import define, refuse_failures, submit
from tests.bench.measured import Measured
from tests.bench.shapes import chain
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_STEP = "step-0"
_WARM = 10


async def measure(sizes: Sizes, engine: Engine = NIGHTCRAWLER) -> Measured:
    """`p50_ms`, `p99_ms` one after another; `burst_p50_ms`, `burst_p99_ms` all at once."""
    async with site(engine) as here, watching(here) as seen:
        one = await define(here, "one", chain(1, 0.1))
        for number in range(_WARM):
            await first_pod(here, seen, one, f"warm-{number}")
        meter = Meter(here.processes)
        alone = [await first_pod(here, seen, one, f"alone-{number}") for number in range(sizes.starts)]
        began = time.monotonic()
        accepted = await _burst(here, one, sizes.starts)
        await seen.until(lambda: all((name, _STEP) in seen.created for name in accepted), 300)
        usage = meter.read()
        await seen.until_ended(accepted, 120)
        pods = await refuse_failures(here, seen)
    waits = [max(0.0, seen.created[name, _STEP] - at) for name, at in accepted.items()]
    since_first = [seen.created[name, _STEP] - began for name in accepted]
    return Measured(
        {
            "p50_ms": milliseconds(percentile(alone, 0.5)),
            "p99_ms": milliseconds(percentile(alone, 0.99)),
            "burst_p50_ms": milliseconds(percentile(waits, 0.5)),
            "burst_p99_ms": milliseconds(percentile(waits, 0.99)),
        },
        usage,
        {
            "% of runs by ms: one after another": distribution(alone),
            "% of runs by ms: burst": distribution(waits),
            "% of runs by ms: burst, from the first request on": distribution(since_first),
        },
        pods=pods,
    )


async def first_pod(here: Site, seen: Seen, workflow: Defined, name: str) -> float:
    """How long it took from the accepted request to the first Pod, in seconds."""
    await submit(here, workflow, name)
    accepted = time.monotonic()
    await seen.until(lambda: (name, _STEP) in seen.created, 60)
    return max(0.0, seen.created[name, _STEP] - accepted)


async def _burst(here: Site, workflow: Defined, count: int) -> dict[str, float]:
    """Submit so many at once; when each was accepted."""
    accepted: dict[str, float] = {}

    async def one(name: str) -> None:
        await submit(here, workflow, name)
        accepted[name] = time.monotonic()

    await asyncio.gather(*(one(f"burst-{number}") for number in range(count)))
    return accepted
