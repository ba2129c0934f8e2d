"""Schedules: thousands of workflows that are due in the same minute, and what they take before that.

- `mb_per_1000` and `cpu_ms_per_1000`: the operator's memory, and its CPU time a second, at rest.
- `created_s`: from the scheduled time until the last run was created, in whole seconds.
- `idle_p50_ms` and `manual_p50_ms`: a person's run, from the accepted request to its Pod, before, meanwhile.
  People start one every quarter of a second, both times and however long the one before takes: back to back
  they would load the machine the more, the sooner they start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from nightcrawler_crds import names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.bench.engines import NAMESPACE, Defined
from tests.bench.engines.nightcrawler import NIGHTCRAWLER, workflow
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.load import define, refuse_failures, side_by_side
from tests.bench.measured import Measured
from tests.bench.quiet import quiet_pss
from tests.bench.rows.start import first_pod
from tests.bench.shapes import chain
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_OPERATOR: Final = NIGHTCRAWLER.name
_WARM: Final = 10
_EVERY: Final = 0.25
"""Seconds from one start by a person to the next."""
_REST: Final = 20.0
_DUE: Final = "due-"
"""What the names of workflows with a schedule begin with, and those of their runs."""
_CREATED_A_SECOND: Final = 40
_PATIENCE: Final = 600.0


async def measure(sizes: Sizes) -> Measured:
    """`created_s`, `manual_p50_ms`, `idle_p50_ms`, `times_idle`, `mb_per_1000`, `cpu_ms_per_1000`."""
    async with site() as here, watching(here) as seen:
        mine = await define(here, "mine", chain(1, 0.1))
        for number in range(_WARM):
            await first_pod(here, seen, mine, f"warm-{number}")
        idle = await _starts(here, seen, mine, "idle", lambda done: done < sizes.schedule_starts)
        empty = (await quiet_pss(here, (_OPERATOR,)))[_OPERATOR]
        due = _due(sizes.schedules)
        await _apply(here, sizes.schedules, due)
        full = (await quiet_pss(here, (_OPERATOR,)))[_OPERATOR]
        at_rest = Meter(here.processes)
        await asyncio.sleep(_REST)
        rest = at_rest.read()[_OPERATOR].cpu_seconds
        assert utcnow() < due, "they were due before all was measured"
        await asyncio.sleep((due - utcnow()).total_seconds())
        meter = Meter(here.processes)
        meanwhile = await _starts(here, seen, mine, "meanwhile", lambda _: _begun(seen) < sizes.schedules)
        usage = meter.read()
        runs = await _scheduled(here)
        await seen.until_ended([run.metadata.name for run in runs], _PATIENCE)
        pods = await refuse_failures(here, seen)
    created = [(run.metadata.creation_timestamp or due) - due for run in runs]
    thousands = sizes.schedules / 1_000
    p50, p50_idle = percentile(meanwhile, 0.5), percentile(idle, 0.5)
    return Measured(
        {
            "created_s": max(created).total_seconds(),
            "manual_p50_ms": milliseconds(p50),
            "idle_p50_ms": milliseconds(p50_idle),
            "times_idle": round(p50 / p50_idle, 2),
            "mb_per_1000": round((full - empty) / thousands, 2),
            "cpu_ms_per_1000": round(rest * 1_000 / _REST / thousands, 2),
        },
        usage,
        {
            "% of a person's runs by ms: idle": distribution(idle),
            "% of a person's runs by ms: meanwhile": distribution(meanwhile),
        },
        pods=pods,
    )


def _due(count: int) -> datetime:
    """A whole minute, late enough that all are there and have been at rest before it."""
    late = utcnow() + timedelta(seconds=count / _CREATED_A_SECOND + 3 * _REST + 60)
    return late.replace(second=0, microsecond=0) + timedelta(minutes=1)


async def _apply(here: Site, count: int, due: datetime) -> None:
    """Create the workflows, all with the same cron line."""
    cron = f"{due.minute} {due.hour} * * *"

    async def one(number: int) -> None:
        body: dict[str, Any] = workflow(f"{_DUE}{number}", chain(1, 0.1))
        body["spec"]["config"] = {"schedule": {"type": "cron", "cron": cron}}
        await here.store.create(names.WORKFLOWS, NAMESPACE, body, WorkflowView)

    await side_by_side(one(number) for number in range(count))


async def _starts(
    here: Site, seen: Seen, mine: Defined, prefix: str, more: Callable[[int], bool]
) -> list[float]:
    """Start runs as people do, while `more` of their number so far; how long each took to its first Pod."""
    loop = asyncio.get_running_loop()
    began, started = loop.time(), list[asyncio.Task[float]]()
    async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
        while more(len(started)):
            started.append(group.create_task(first_pod(here, seen, mine, f"{prefix}-{len(started)}")))
            await asyncio.sleep(began + len(started) * _EVERY - loop.time())
    return [start.result() for start in started]


def _begun(seen: Seen) -> int:
    """How many scheduled runs the watch has reported: lists of thousands would load the API server, too."""
    return sum(name.startswith(_DUE) for name in seen.begun)


async def _scheduled(here: Site) -> list[ExecutionView]:
    found = await here.store.list_all(names.EXECUTIONS, NAMESPACE, ExecutionView)
    return [run for run in found if run.spec.trigger.scheduled_time is not None]
