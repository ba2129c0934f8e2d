"""Growth: how the figures change with what is there already; a column of the table for each size.

Three times over, with ended runs (of the very workflows that are measured, and none beyond their history),
with runs that go on, and with workflows without runs. At each size the same is measured:

- `…_start_p50_ms`, `…_handover_p50_ms`: as the rows of those names, with fewer runs.
- `…_cpu_ms_per_step`: the operator's CPU time over those hand-overs.
- `…_pss_mb`: operator and facade together, before them.
- `…_ready_s`: the operator's start, with its Lease free, until it holds that.
- `…_list_p99_ms`: pages of fifty of the facade, one after another.

Ended runs are put in while the operator is away; the others are there while it works. There are no more
running ones than the largest size of the row `memory`, for making 10,000 takes long.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from tests.bench.engines import Defined
from tests.bench.engines.nightcrawler import NIGHTCRAWLER, free_lease
from tests.bench.figures import milliseconds, percentile
from tests.bench.load import define, refuse_failures, submit_steadily
from tests.bench.measured import Measured, Usage
from tests.bench.past import Status, make_ended, make_workflows, status_of_one
from tests.bench.quiet import quiet_pss
from tests.bench.rows.handover import handovers
from tests.bench.rows.start import first_pod
from tests.bench.running import A_DAY, until_running
from tests.bench.shapes import chain
from tests.bench.site import FACADE, Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_OPERATOR: Final = NIGHTCRAWLER.name
_CHAINS: Final = 5
_PAGES: Final = 100

Figures = dict[str, float]
Fill = Callable[[range], Awaitable[None]]


@dataclass
class _Ground:
    """One site, the workflows that are measured on it, and the status of one of their runs."""

    here: Site
    seen: Seen
    one: Defined
    chain: Defined
    ended: Status
    turn: int = 0

    async def measure(self, sizes: Sizes) -> Figures:
        """The figures as they are now."""
        self.turn += 1
        here, seen = self.here, self.seen
        ready = await _restart(here)
        pss = await quiet_pss(here, [_OPERATOR, FACADE])
        starts = [
            await first_pod(here, seen, self.one, f"alone-{self.turn}-{number}")
            for number in range(sizes.scale_starts)
        ]
        meter = Meter({_OPERATOR: here.operator})
        waits = [
            wait
            for again in range(sizes.scale_rounds)
            for wait in await handovers(here, seen, self.chain, f"few-{self.turn}-{again}", _CHAINS)
        ]
        cpu = meter.read()[_OPERATOR].cpu_seconds
        steps = sizes.scale_rounds * _CHAINS * len(self.chain.shape.steps)
        pages = await _pages(f"{here.facade_url}/api/workflows/{self.chain.name}/executions?pageSize=50")
        return {
            "start_p50_ms": milliseconds(percentile(starts, 0.5)),
            "handover_p50_ms": milliseconds(percentile(waits, 0.5)),
            "cpu_ms_per_step": round(cpu * 1000 / steps, 2),
            "pss_mb": round(sum(pss.values()), 1),
            "ready_s": round(ready, 2),
            "list_p99_ms": milliseconds(percentile(pages, 0.99)),
        }


async def measure(sizes: Sizes) -> Measured:
    """`ended_…_at_<size>`, `running_…_at_<size>`, `workflows_…_at_<size>`."""
    figures: Figures = {}
    usage: dict[str, Usage] = {}
    for what, levels in (
        ("ended", sizes.scale_ended),
        ("running", sizes.scale_running),
        ("workflows", sizes.scale_workflows),
    ):
        if not levels:
            continue
        found, usage = await _grow(what, levels, sizes)
        figures |= {
            f"{what}_{key}_at_{level}": value for level, at in found.items() for key, value in at.items()
        }
    return Measured(figures, usage)


async def _grow(
    what: str, levels: tuple[int, ...], sizes: Sizes
) -> tuple[dict[int, Figures], dict[str, Usage]]:
    """The figures at each size, and what the processes took for all of it."""
    async with site(facade=True) as here, watching(here) as seen:
        ground = await _ground(here, seen, sizes)
        fill = {"ended": _fill_ended, "running": _fill_running, "workflows": _fill_workflows}[what]
        meter = Meter(here.processes)
        found: dict[int, Figures] = {}
        for level in levels:
            await fill(ground, range(max(found, default=0), level))
            found[level] = await ground.measure(sizes)
        usage = meter.read()
        await refuse_failures(here)
    return found, usage


async def _ground(here: Site, seen: Seen, sizes: Sizes) -> _Ground:
    one = await define(here, "one", chain(1, 0.1))
    ten = await define(here, "chain", chain(sizes.chain_steps, 0.1))
    ended = await status_of_one(here, seen, ten, "model")
    return _Ground(here, seen, one, ten, ended)


async def _fill_ended(ground: _Ground, numbers: range) -> None:
    ground.here.kill_operator()
    await make_ended(ground.here.store, [ground.one, ground.chain], ground.ended, numbers)
    await free_lease(ground.here.store)
    await ground.here.start_operator()


async def _fill_running(ground: _Ground, numbers: range) -> None:
    here = ground.here
    workflow = await define(here, f"long-{numbers.start}", chain(5, A_DAY))
    runs = await submit_steadily(here, workflow, workflow.name, len(numbers))
    await until_running(here, ground.seen, runs, "step-0")


async def _fill_workflows(ground: _Ground, numbers: range) -> None:
    await make_workflows(ground.here.store, numbers)


async def _restart(here: Site) -> float:
    """Restart the operator once it is idle; seconds until it works."""
    await quiet_pss(here, [_OPERATOR])
    here.kill_operator()
    await free_lease(here.store)
    began = time.monotonic()
    await here.start_operator()
    return time.monotonic() - began


async def _pages(url: str) -> list[float]:
    """How long pages took, each in seconds."""
    seconds = []
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for _ in range(_PAGES):
            began = time.monotonic()
            async with session.get(url) as answer:
                await answer.read()
            seconds.append(time.monotonic() - began)
    return seconds
