"""Cost: requests a step, counted in the API server's audit log; a separate run that is not timed.

Runs are chains of ten steps of 0.1 s. Their Jobs are cleaned up one second after their run, and counting
goes on until the last Pod is gone, so that what cleaning up takes is in the figures. (An engine that leaves
ended Pods where they are is counted until it is done with the last one.)

- `own_requests_per_step`: the operator's writes for a run's sake: creations of Jobs, patches of executions
  and of their status, deletions of collections, and whatever else it writes but its Lease, and but what it
  does in the Job controller's place (`Engine.in_place_of_others`).
- `own_writes_per_step`: the same with that.
- `own_events_per_step`: Kubernetes Events about executions, in neither of the two: no step waits for them,
  and they are sent at a bounded pace. The details have each by verb and resource, reads too.
- `cluster_requests_per_step`: writes of everybody (controllers, scheduler, kwok, and the operator), Events
  among them; not Leases, which tick along anyway, nor what the bench itself creates.
- `operator_cpu_ms_per_step`: the operator's CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from tests.bench import audit
from tests.bench.audit import Asked
from tests.bench.engines import Engine
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.load import define, refuse_failures, submit_many
from tests.bench.measured import Measured
from tests.bench.shapes import chain
from tests.bench.site import BENCH, Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import watching
from tests.bench.usage import Meter

_SETTLED_WITHIN = 120.0


async def measure(sizes: Sizes, engine: Engine = NIGHTCRAWLER) -> Measured:
    """`own_requests_per_step`, `cluster_requests_per_step`, `operator_cpu_ms_per_step`."""
    async with (
        site(engine, audit=True, settings=engine.tidy) as here,
        watching(here) as seen,
    ):
        workflow = await define(here, "chain", chain(sizes.chain_steps, 0.1))
        await seen.until_ended(await submit_many(here, workflow, "warm", 2), 120)
        await _until_settled(here)
        meter, offset = Meter(here.processes), here.cluster.audit_log.stat().st_size
        runs = await submit_many(here, workflow, "cost", sizes.cost_runs)
        await seen.until_ended(runs, 300)
        await _until_settled(here)
        usage = meter.read()
        with here.cluster.audit_log.open() as log:
            log.seek(offset)
            counts = audit.count(log)
        pods = await refuse_failures(here, seen)
    steps = sizes.cost_runs * sizes.chain_steps
    return Measured(
        {
            **requests(counts, engine, steps),
            "operator_cpu_ms_per_step": round(usage[engine.name].cpu_seconds * 1000 / steps, 2),
        },
        usage,
        tables=tables(counts, engine.name, steps)
        | {"CPU, ms a step": {name: round(u.cpu_seconds * 1000 / steps, 2) for name, u in usage.items()}},
        pods=pods,
    )


def requests(counts: Counter[Asked], engine: Engine, steps: int) -> dict[str, float]:
    """The figures that come from requests."""
    counted = Counter(
        {a: n for a, n in counts.items() if a.is_write and a.what != "leases" and a.agent != BENCH}
    )
    events = audit.only(counted, agent=engine.name, verb="create", what="events")
    own = audit.only(counted, agent=engine.name) - events
    for_others = sum(n for asked, n in own.items() if asked.text in engine.in_place_of_others)
    return {
        "own_requests_per_step": round((own.total() - for_others) / steps, 3),
        "own_writes_per_step": round(own.total() / steps, 3),
        "own_events_per_step": round(events.total() / steps, 3),
        "cluster_requests_per_step": round(counted.total() / steps, 3),
    }


def tables(counts: Counter[Asked], engine: str, steps: int) -> dict[str, dict[str, float]]:
    """All requests: the engine's by verb and resource, everybody's by user agent, writes of the others."""
    others = Counter({a: n for a, n in counts.items() if a.agent not in (engine, BENCH)})
    writes = Counter({a: n for a, n in counts.items() if a.is_write})
    return {
        f"requests a step of {engine}": audit.per_step(audit.only(counts, agent=engine), steps),
        "writes a step by user agent": audit.per_agent(writes, steps),
        "requests a step by user agent": audit.per_agent(counts, steps),
        "requests a step of the others": audit.per_step(others, steps),
    }


async def _until_settled(here: Site) -> None:
    """Wait until the engine is done with all Pods, for that is part of the cost."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    while not await here.engine.settled(here.store):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Pods were not cleaned up within {_SETTLED_WITHIN:g} s of their runs' end")
        await asyncio.sleep(0.5)
