"""Cost: requests a step, counted in the API server's audit log; an untimed run of its own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.bench.load import create_chain, execute_many
from tests.bench.site import site
from tests.bench.sizes import Sizes
from tests.bench.watcher import watching

_STEPS = 10
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_OWN = {("create", "jobs"), ("patch", "workflowexecutions"), ("deletecollection", "jobs")}


async def measure(sizes: Sizes) -> dict[str, float]:
    """`own_requests_per_step`, `cluster_requests_per_step` (writes of all), `operator_cpu_ms_per_step`."""
    async with site(audit=True) as here, watching(here) as seen:
        await create_chain(here, "chain", _STEPS)
        warm = await execute_many(here, "chain", "warm", 2)
        await seen.until(lambda: all(name in seen.ended for name in warm), 120)
        before, offset = _cpu(here.operator.cpu_times()), here.cluster.audit_log.stat().st_size
        runs = await execute_many(here, "chain", "cost", sizes.cost_runs)
        await seen.until(lambda: all(name in seen.ended for name in runs), 300)
        spent = _cpu(here.operator.cpu_times()) - before
        counts = _requests(here.cluster.audit_log, offset)
    steps = sizes.cost_runs * _STEPS
    own = sum(
        n
        for (agent, verb, what), n in counts.items()
        if agent == "nightcrawler-operator" and (verb, what) in _OWN
    )
    # What the bench itself creates is not the cluster's cost of a step; Leases and Events tick along anyway.
    everything = sum(
        n
        for (agent, verb, what), n in counts.items()
        if verb in _WRITES and agent != "nightcrawler-bench" and what not in ("leases", "events")
    )
    return {
        "own_requests_per_step": round(own / steps, 2),
        "cluster_requests_per_step": round(everything / steps, 2),
        "operator_cpu_ms_per_step": round(spent * 1000 / steps, 2),
    }


def _cpu(times: object) -> float:
    return float(times.user + times.system)  # type: ignore[attr-defined]


def _requests(log: Path, offset: int) -> Counter[tuple[str, str, str]]:
    """Requests by user agent, verb and resource, from a place in the audit log on."""
    counts: Counter[tuple[str, str, str]] = Counter()
    with log.open() as lines:
        lines.seek(offset)
        for line in lines:
            event = json.loads(line)
            if event["stage"] == "ResponseComplete":
                agent = event.get("userAgent", "").split("/")[0].split(" ")[0]
                counts[agent, event["verb"], event.get("objectRef", {}).get("resource", "")] += 1
    return counts
