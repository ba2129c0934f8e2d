"""Hand-over: from a Pod seen to have succeeded to the next step's Pod seen.

Chains of ten steps of 0.1 s, a few at once and many at once; percentiles over all pairs of steps.
"""

from __future__ import annotations

import itertools

from tests.bench.engines import Defined, Engine
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.load import define, refuse_failures, submit_many
from tests.bench.measured import Measured
from tests.bench.shapes import chain
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter


async def measure(sizes: Sizes, engine: Engine = NIGHTCRAWLER) -> Measured:
    """`p50_ms`, `p99_ms` with a few chains; `at50_p50_ms`, `at50_p99_ms` with many."""
    async with site(engine) as here, watching(here) as seen:
        workflow = await define(here, "chain", chain(sizes.chain_steps, 0.1))
        await handovers(here, seen, workflow, "warm", sizes.chains_few)
        meter = Meter(here.processes)
        few = [
            handover
            for turn in range(sizes.chains_few_rounds)
            for handover in await handovers(here, seen, workflow, f"few-{turn}", sizes.chains_few)
        ]
        many = await handovers(here, seen, workflow, "many", sizes.chains_many)
        usage = meter.read()
        pods = await refuse_failures(here, seen)
    return Measured(
        {
            "p50_ms": milliseconds(percentile(few, 0.5)),
            "p99_ms": milliseconds(percentile(few, 0.99)),
            "at50_p50_ms": milliseconds(percentile(many, 0.5)),
            "at50_p99_ms": milliseconds(percentile(many, 0.99)),
        },
        usage,
        {
            f"% of hand-overs by ms: {sizes.chains_few} chains": distribution(few),
            f"% of hand-overs by ms: {sizes.chains_many} chains": distribution(many),
        },
        pods=pods,
    )


async def handovers(here: Site, seen: Seen, workflow: Defined, prefix: str, count: int) -> list[float]:
    """How long each hand-over of so many chains at once took, in seconds."""
    runs = await submit_many(here, workflow, prefix, count)
    await seen.until_ended(runs, 300)
    steps = [step.name for step in workflow.shape.steps]
    return [
        seen.created[run, following] - seen.succeeded[run, before]
        for run in runs
        for before, following in itertools.pairwise(steps)
    ]
