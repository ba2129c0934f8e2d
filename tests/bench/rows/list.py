"""Lists: how soon the facade answers dashboards, and how many it can answer.

Workflows and runs that have ended fill its cache, some runs are live, and of those ten a second get one step
further, as the operator would report it; there is no operator. Fifty clients first ask once a second each,
at any moment of it, then as fast as they can; what they ask stands in `questions`, in which proportions too.

- `p99_ms`: lists of workflows and executions, whole, filtered, or from deep down.
- `search_p99_ms`: searches.
- `not_modified_p99_ms`: the same questions again with If-None-Match, answered 304.
- `rps`: answers a second at saturation, of all kinds. The clients share the machine; what each side takes for
  an answer is in the details.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final, TypeVar

import aiohttp

from nightcrawler_crds import clock, names
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.bench import catalogue
from tests.bench.dashboards import Looks, visit
from tests.bench.engines import NAMESPACE, Defined, Engine
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.measured import Measured, Usage
from tests.bench.questions import KINDS
from tests.bench.shapes import chain
from tests.bench.site import FACADE, Site, site
from tests.bench.sizes import Sizes
from tests.bench.usage import Meter

T = TypeVar("T")

_AT_ONCE: Final = 64
_SHOWN_WITHIN: Final = 120.0
_CHANGES_A_SECOND: Final = 10
_WARM_SECONDS: Final = 2.0


async def measure(sizes: Sizes, engine: Engine = NIGHTCRAWLER) -> Measured:
    """`p99_ms`, `search_p99_ms`, `not_modified_p99_ms` at a usual pace; `rps` at saturation."""
    async with site(engine, operator=False, facade=True) as here:
        now = clock.utcnow()
        runs = await _fill(here, sizes, now)
        async with life(here, sizes, now):
            await _visit(here, sizes, _WARM_SECONDS, runs, as_fast=True)
            meter = Meter(here.processes)
            calm = await _visit(here, sizes, sizes.list_seconds, runs, as_fast=False)
            usage = meter.read()
            meter = Meter(here.processes)
            rush = await _visit(here, sizes, sizes.list_rush_seconds, runs, as_fast=True)
            rush_usage = meter.read()
    return Measured(
        figures(calm, rush),
        usage,
        {f"% of answers by ms: {what}": distribution(calm.of(what)) for what in KINDS},
        {
            "answers once a second": {what: len(calm.of(what)) for what in KINDS},
            "answers at saturation": {what: len(rush.of(what)) for what in KINDS},
            "an answer at saturation": _an_answer(rush, rush_usage),
        },
    )


def figures(calm: Looks, rush: Looks) -> dict[str, float]:
    """The figures of the row."""
    return {
        "p99_ms": milliseconds(percentile(calm.of("page"), 0.99)),
        "search_p99_ms": milliseconds(percentile(calm.of("search"), 0.99)),
        "not_modified_p99_ms": milliseconds(percentile(calm.of("not modified"), 0.99)),
        "rps": round(rush.rate),
    }


def _an_answer(rush: Looks, usage: dict[str, Usage]) -> dict[str, float]:
    """What one answer took: CPU time of each side, and bytes."""
    count = rush.count
    return {
        f"{FACADE}, CPU µs": round(usage[FACADE].cpu_seconds * 1e6 / count, 1),
        "clients, CPU µs": round(rush.cpu_seconds * 1e6 / count, 1),
        "bytes of bodies": round(rush.bytes / count),
    }


async def _visit(here: Site, sizes: Sizes, seconds: float, runs: list[int], *, as_fast: bool) -> Looks:
    return await visit(
        here.facade_url, clients=sizes.list_clients, seconds=seconds, as_fast=as_fast, runs=runs
    )


# --- what there is to list -----------------------------------------------------------------------


async def _fill(here: Site, sizes: Sizes, now: datetime) -> list[int]:
    """Create everything, and wait until the facade shows it; how many runs each workflow has."""
    workflows, of = await fill(
        here,
        workflows=sizes.list_workflows,
        runs=sizes.list_runs,
        cached=sizes.list_runs,
        live=sizes.list_live,
        now=now,
    )
    last = catalogue.running(0, 1, now)
    await report(here, 0, last)
    await _until_shown(here, len(workflows), f"wf-{of[0]}", last["progress"])
    return [of.count(number) for number in range(len(workflows))]


async def fill(
    here: Site, *, workflows: int, runs: int, cached: int, live: int, now: datetime, private: int = 0
) -> tuple[list[Defined], list[int]]:
    """Create workflows, and the first `cached` of their runs; of these the first `live` have not ended.

    `private` further workflows without runs are created that nobody but administrators sees.

    Returns the workflows with runs, and of each run which one it is of, by number.
    """

    async def define(number: int) -> Defined:
        body = definition(number, private=number >= workflows)
        kept = await here.store.create(names.WORKFLOWS, NAMESPACE, body, WorkflowView)
        return Defined(kept.metadata.name, kept.metadata.uid, chain(len(catalogue.STEPS), 1))

    defined = (await each(define, range(workflows + private)))[:workflows]
    of = [catalogue.workflow_of(run, workflows) for run in range(runs)]

    async def run(number: int) -> None:
        body = catalogue.execution(number, defined[of[number]])
        await here.store.create(names.EXECUTIONS, NAMESPACE, body, ExecutionView)
        await report(
            here, number, catalogue.running(number, 0, now) if number < live else catalogue.ended(number, now)
        )

    await each(run, range(cached))
    return defined, of


def definition(number: int, *, private: bool) -> catalogue.Json:
    """A workflow of the catalogue, which nobody but administrators sees if it is private."""
    body = catalogue.workflow(number)
    if private:
        body["spec"]["config"]["security"] = {"visibility": "Private"}
    return body


async def report(here: Site, number: int, status: catalogue.Json) -> None:
    """Write a run's status, as the operator does."""
    await here.store.patch(
        names.EXECUTIONS,
        NAMESPACE,
        f"exec-{number}",
        {"status": status},
        ExecutionView,
        subresource="status",
    )


async def each(do: Callable[[int], Awaitable[T]], numbers: Iterable[int]) -> list[T]:
    """Do something with each number, some at once."""
    done: dict[int, T] = {}
    waiting = iter(numbers)

    async def lane() -> None:
        for number in waiting:
            done[number] = await do(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(lane())
    return [done[number] for number in sorted(done)]


async def _until_shown(here: Site, workflows: int, workflow: str, progress: str) -> None:
    """Wait until the facade knows all: what was reported last, of `exec-0`, it hears last."""
    lists = f"{here.facade_url}/api/workflows"
    await until_it_says(lists, "total", workflows)
    await until_it_says(f"{lists}/{workflow}/executions/exec-0?logs=false", "progress", progress)


async def until_it_says(url: str, key: str, value: object) -> None:
    """Wait until an answer of the facade has a value."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(_SHOWN_WITHIN):
        while True:
            async with session.get(url) as answer:
                if answer.status == 200 and (await answer.json())[key] == value:
                    return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def life(here: Site, sizes: Sizes, now: datetime) -> AsyncIterator[None]:
    """Within the block some of the live runs get one step further every second; one in five starts again."""

    async def go_on() -> None:
        for turn in itertools.count(1):
            for number in range(sizes.list_live):
                await asyncio.sleep(1 / _CHANGES_A_SECOND)
                await report(here, number, catalogue.running(number, turn, now))

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
