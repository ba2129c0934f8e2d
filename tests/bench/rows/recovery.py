"""Recovery: the operator is killed with many runs in flight, and Pods end while it is down.

Runs are chains of five steps, each with one Pod that runs; of some of them it is ended, as a kubelet would,
between the operator's death and its return. Times count from the start of the new process.

- `ready_s`: until it holds the Lease, before which it makes nothing.
- `first_s`: until the first successor of the Pods that have ended is there.
- `all_s`: until the last one is.

The Lease is that of the one that was killed: the new process finds that it is dead. Then a second process
stands by, and the leader is killed again. Times count from its death:

- `standby_s`: until the standby holds the Lease.
- `standby_first_s`: until the first successor is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nightcrawler_crds import names
from tests.bench.engines import NAMESPACE, Meta
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.kubelet import end_pods
from tests.bench.load import define, refuse_failures, submit_steadily
from tests.bench.measured import Measured
from tests.bench.quiet import quiet_pss
from tests.bench.running import A_DAY, until_running
from tests.bench.shapes import chain
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_STEPS: Final = 5
_PATIENCE: Final = 120.0
_MOST_POINTS: Final = 60


class _Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta


@dataclass(frozen=True, slots=True)
class _Return:
    """Seconds from the start, or the death: until a process was ready, and until each successor was there."""

    ready: float
    successors: tuple[float, ...]


async def measure(sizes: Sizes) -> Measured:
    """`ready_s`, `first_s`, `all_s`, `standby_s`, `standby_first_s`."""
    async with site() as here, watching(here) as seen:
        workflow = await define(here, "long", chain(_STEPS, A_DAY))
        runs = await submit_steadily(here, workflow, "run", sizes.recovery_runs)
        await until_running(here, seen, runs, "step-0")
        before = await quiet_pss(here, [NIGHTCRAWLER.name])
        meter = Meter(here.processes)
        ended = sizes.recovery_ended
        again = await _restart(here, seen, runs[:ended])
        usage = meter.read()
        after = await quiet_pss(here, [NIGHTCRAWLER.name])
        standby = await _fall_back(here, seen, runs[ended : 2 * ended])
        await refuse_failures(here)
    figures = {
        "ready_s": again.ready,
        "first_s": again.successors[0],
        "all_s": again.successors[-1],
        "standby_s": standby.ready,
        "standby_first_s": standby.successors[0],
    }
    return Measured(
        {name: round(seconds, 2) for name, seconds in figures.items()},
        usage,
        {
            "% of successors by s since the start": arrivals(again.successors),
            "% of successors by s since the death of the leader": arrivals(standby.successors),
        },
        {
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


async def _restart(here: Site, seen: Seen, runs: Sequence[str]) -> _Return:
    """Kill the operator, end the first Pods of these runs, and start it again."""
    pods = await _pods(here, runs)
    here.kill_operator()
    await end_pods(here.store, pods)
    began = time.monotonic()
    here.launch_operator()
    await here.until_operator_works()
    return await _returned(seen, runs, began, time.monotonic())


async def _fall_back(here: Site, seen: Seen, runs: Sequence[str]) -> _Return:
    """Let a second operator stand by, kill the first, and end the first Pods of these runs."""
    pods = await _pods(here, runs)
    await quiet_pss(here, [here.launch_standby()])
    began = time.monotonic()
    here.kill_leader()

    async def until_ready() -> float:
        await here.until_operator_works()
        return time.monotonic()

    ready, _ = await asyncio.gather(until_ready(), end_pods(here.store, pods))
    return await _returned(seen, runs, began, ready)


async def _returned(seen: Seen, runs: Sequence[str], began: float, ready: float) -> _Return:
    await seen.until(lambda: all((run, "step-1") in seen.created for run in runs), _PATIENCE)
    return _Return(ready - began, tuple(sorted(seen.created[run, "step-1"] - began for run in runs)))


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
