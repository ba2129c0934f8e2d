"""Recovery: the operator is killed with many runs in flight, and Pods end while it is down.

Runs are chains of five steps, each with one Pod that runs; of some of them it is ended, as a kubelet would,
between the operator's death and its return. Times count from the start of the new process.

- `ready_s`: until it holds the Lease, before which it makes nothing.
- `all_s`: until the last successor of the Pods that have ended is there.

The Lease of the one that was killed is given back meanwhile, so that both are the operator's own. How
long they are with that Lease still to run out (15 s, as is usual), as for a single replica that dies and
is started at once, stands in the table; with a second replica only what is left of it counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nightcrawler_crds import names
from tests.bench.engines import NAMESPACE, Meta
from tests.bench.engines.nightcrawler import NIGHTCRAWLER, free_lease
from tests.bench.kubelet import end_pods
from tests.bench.load import define, refuse_failures, submit_steadily
from tests.bench.measured import Measured
from tests.bench.quiet import quiet_pss
from tests.bench.running import A_DAY, until_running
from tests.bench.shapes import chain
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.usage import Meter
from tests.bench.watcher import Seen, watching

_STEPS: Final = 5
_PATIENCE: Final = 120.0
_MOST_POINTS: Final = 60


class _Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta


@dataclass(frozen=True, slots=True)
class _Return:
    """Seconds from the start of the process: until it was ready, and until each successor was there."""

    ready: float
    successors: tuple[float, ...]

    @property
    def whole(self) -> float:
        return self.successors[-1]


async def measure(sizes: Sizes) -> Measured:
    """`ready_s`, `all_s`."""
    async with site() as here, watching(here) as seen:
        workflow = await define(here, "long", chain(_STEPS, A_DAY))
        runs = await submit_steadily(here, workflow, "run", sizes.recovery_runs)
        await until_running(here, seen, runs, "step-0")
        before = await quiet_pss(here, [NIGHTCRAWLER.name])
        meter = Meter(here.processes)
        ended = sizes.recovery_ended
        freed = await _return(here, seen, runs[:ended], lease_is_free=True)
        usage = meter.read()
        after = await quiet_pss(here, [NIGHTCRAWLER.name])
        held = await _return(here, seen, runs[ended : 2 * ended], lease_is_free=False)
        await refuse_failures(here)
    return Measured(
        {"ready_s": round(freed.ready, 2), "all_s": round(freed.whole, 2)},
        usage,
        {
            "% of successors by s since the start: Lease given back": arrivals(freed.successors),
            "% of successors by s since the start: Lease to run out": arrivals(held.successors),
        },
        {
            "seconds while the Lease has to run out": {
                "until ready": round(held.ready, 2),
                "until the last successor": round(held.whole, 2),
            },
            "the operator's PSS, MB": {
                "before it was killed": before[NIGHTCRAWLER.name],
                "after its return": after[NIGHTCRAWLER.name],
            },
        },
    )


def arrivals(seconds: Sequence[float]) -> list[tuple[float, float]]:
    """How many percent were there after so many seconds, as a curve of few points."""
    ordered = sorted(seconds)
    count = min(_MOST_POINTS, len(ordered))
    ranks = [(n + 1) * len(ordered) // count for n in range(count)]
    return [(round(ordered[rank - 1], 2), round(100 * rank / len(ordered), 2)) for rank in ranks]


async def _return(here: Site, seen: Seen, runs: Sequence[str], *, lease_is_free: bool) -> _Return:
    """Kill the operator, end the first Pods of these runs, and start it again."""
    pods = await _pods(here, runs)
    here.kill_operator()
    await end_pods(here.store, pods)
    if lease_is_free:
        await free_lease(here.store)
    began = time.monotonic()
    here.launch_operator()
    await here.until_operator_works()
    ready = time.monotonic() - began
    await seen.until(lambda: all((run, "step-1") in seen.created for run in runs), _PATIENCE)
    return _Return(ready, tuple(sorted(seen.created[run, "step-1"] - began for run in runs)))


async def _pods(here: Site, runs: Sequence[str]) -> list[str]:
    """The names of the Pods of these runs' first steps."""
    wanted = set(runs)
    pods = await here.store.list_all(names.PODS, NAMESPACE, _Pod)
    found = [
        pod.metadata.name
        for pod in pods
        if (key := here.engine.step_of(pod.metadata)) and key[0] in wanted and key[1] == "step-0"
    ]
    assert len(found) == len(wanted), "there are Pods of several attempts"
    return found
