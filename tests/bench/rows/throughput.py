"""Throughput: completed runs a minute, with a constant number in flight.

One-step workflows, then DAGs of five steps (`a`; `b`, `c`, `d`; `e`), of 1 s steps. A run that ends is
followed by the next, until there were as many as the level wants; the rate is that of all of them
(`figures.rate`). The figure is the best of the levels; the curves have all of them.
"""

from __future__ import annotations

import time

from tests.bench.engines import Defined, Engine
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.figures import rate
from tests.bench.load import define, keep_in_flight, refuse_failures, submit_many
from tests.bench.measured import Measured
from tests.bench.shapes import chain, diamond
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_PATIENCE = 1_200.0
_SECONDS = 1.0

Levels = tuple[tuple[int, int], ...]
"""How many in flight, and how many runs in all."""


async def measure(sizes: Sizes, engine: Engine = NIGHTCRAWLER) -> Measured:
    """`one_step_per_min`, `five_step_per_min`."""
    async with site(engine) as here, watching(here) as seen:
        one = await define(here, "one", chain(1, _SECONDS))
        dag = await define(here, "dag", diamond(_SECONDS))
        for workflow in (one, dag):
            warm = await submit_many(here, workflow, f"warm-{workflow.name}", 5)
            await seen.until_ended(warm, 120)
        meter = Meter(here.processes)
        one_step = await _levels(here, seen, one, sizes.one_step)
        five_step = await _levels(here, seen, dag, sizes.dag)
        usage = meter.read()
        pods = await refuse_failures(here, seen)
    return Measured(
        {
            "one_step_per_min": max(rate for _, rate in one_step),
            "five_step_per_min": max(rate for _, rate in five_step),
        },
        usage,
        {
            "runs a minute by runs in flight: one step": one_step,
            "runs a minute by runs in flight: five steps, a DAG": five_step,
        },
        pods=pods,
    )


async def _levels(here: Site, seen: Seen, workflow: Defined, levels: Levels) -> list[tuple[float, float]]:
    """In flight, and completions a minute."""
    rates: list[tuple[float, float]] = []
    for in_flight, count in levels:
        prefix = f"{workflow.name}-{in_flight}"
        began = time.monotonic()
        runs = await keep_in_flight(
            here, seen, workflow, prefix, count=count, in_flight=in_flight, patience=_PATIENCE
        )
        ends = [seen.ended[run] for run in runs]
        rates.append((float(in_flight), round(rate(began, ends), 1)))
    return rates
