"""Hand-over: from a Pod seen to have succeeded to the next step's Pod seen.

Chains of ten steps of 0.1 s, a few at once and many at once; percentiles over all pairs.
"""

from __future__ import annotations

from tests.bench.figures import milliseconds, percentile
from tests.bench.load import create_chain, execute_many
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.watcher import Seen, watching

_STEPS = 10


async def measure(sizes: Sizes) -> dict[str, float]:
    """`p50_ms`, `p99_ms` with a few chains; `at50_p50_ms`, `at50_p99_ms` with many."""
    async with site() as here, watching(here) as seen:
        await create_chain(here, "chain", _STEPS)
        await _run(here, seen, "warm", sizes.chains_few)
        few = [
            g
            for turn in range(sizes.repeats)
            for g in await _run(here, seen, f"few-{turn}", sizes.chains_few)
        ]
        many = await _run(here, seen, "many", sizes.chains_many)
    return {
        "p50_ms": milliseconds(percentile(few, 0.5)),
        "p99_ms": milliseconds(percentile(few, 0.99)),
        "at50_p50_ms": milliseconds(percentile(many, 0.5)),
        "at50_p99_ms": milliseconds(percentile(many, 0.99)),
    }


async def _run(here: Site, seen: Seen, prefix: str, count: int) -> list[float]:
    executions = await execute_many(here, "chain", prefix, count)
    await seen.until(lambda: all(name in seen.ended for name in executions), 300)
    return [
        seen.created[name, f"step-{number + 1}"] - seen.succeeded[name, f"step-{number}"]
        for name in executions
        for number in range(_STEPS - 1)
    ]
