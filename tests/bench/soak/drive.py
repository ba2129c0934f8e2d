"""A soak from its beginning to its end: load, kills, samples, and what is left when all is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.bench.engines import NAMESPACE, Defined
from tests.bench.engines.nightcrawler import execution
from tests.bench.site import FACADE, Site, site
from tests.bench.soak import kinds, samples
from tests.bench.soak.absence import EXPECTED, absence, times_given_up
from tests.bench.soak.dashboard import Dashboard
from tests.bench.soak.samples import Sample
from tests.bench.soak.tracker import RunTracker
from tests.bench.soak.verdict import EVENTS_LIVE
from tests.bench.soak.watch import watching

_PACKAGES: Final = ("crds/nightcrawler_crds", "operator/nightcrawler_operator", "api/nightcrawler_api")
_SEED: Final = 7
_OWING: Final = 0.1
"""The share of a soak for which its runs owe what is away: less than what is left out as warming up."""
_TROUBLE: Final = re.compile(r"Traceback|\bERROR\b|\"level\": ?\"error\"|never retrieved", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how much; times in seconds.

    Attributes:
        rate: Runs a minute.
        kill_every: From kill to kill; 0 for none.
        each: How many workflows of each kind there are.
        history: Completed runs, and others, kept of each.
        cleanup_after: From a run's end until its Jobs go.
        patience: From the load's end until every run must have ended, and again until Jobs are cleaned up.
        away: Whether log store and mail server are away the whole time, and runs owe their logs and messages.
    """

    minutes: float = 60.0
    rate: float = 150.0
    kill_every: float = 300.0
    every: float = 10.0
    looks: float = 4.0
    each: int = 5
    history: int = 10
    cleanup_after: float = 30.0
    patience: float = 120.0
    away: bool = False

    @property
    def duty_timeout(self) -> float:
        """After how many seconds what a run owes is given up: as many owe something most of the time."""
        return round(self.minutes * 60 * _OWING)


@dataclass
class Soak:
    """What a soak has found so far."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    outages_s: list[float] = field(default_factory=list)
    tracker: RunTracker = field(default_factory=RunTracker)
    dashboard: Dashboard | None = None
    left: dict[str, int] = field(default_factory=dict)
    trouble: dict[str, list[str]] = field(default_factory=dict)
    seconds_to_drain: float = 0.0
    given_up: int = 0


class _Operator:
    """The operator's processes, one after another."""

    def __init__(self, here: Site, soak: Soak) -> None:
        self._here, self._soak = here, soak
        self.life = 0
        self.ready_at: float | None = time.monotonic()

    @property
    def age(self) -> float:
        return -1.0 if self.ready_at is None else time.monotonic() - self.ready_at

    async def kill_again_and_again(self, until: float) -> None:
        plan = self._soak.plan
        began = time.monotonic()
        turn = 0
        while plan.kill_every:
            turn += 1
            due = began + turn * plan.kill_every
            if due > until - plan.kill_every / 2:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            killed, self.ready_at = time.monotonic(), None
            self._here.kill_operator()
            self._here.launch_operator()
            self.life += 1
            await self._here.until_operator_works()
            self.ready_at = time.monotonic()
            self._soak.outages_s.append(round(self.ready_at - killed, 2))


async def run(plan: Plan, keep: Callable[[Soak], object]) -> Soak:
    """Soak for as long as planned; `keep` is called with what there is every minute, and at the end."""
    soak = Soak(plan)
    cleanup = dict.fromkeys(("job_cleanup_after", "failed_job_cleanup_after"), f"{plan.cleanup_after:g}s")
    with frozen_code():
        async with (
            absence(away=plan.away, duty_timeout=plan.duty_timeout) as absent,
            site(
                settings={**cleanup, **absent.operator},
                arguments={"kube-apiserver": [f"--event-ttl={EVENTS_LIVE}s"], **absent.arguments},
            ) as here,
        ):
            await here.start_facade(**absent.facade)
            workflows = await _define(here, plan)
            async with watching(here.store, soak.tracker):
                await _load(here, soak, workflows, keep)
            soak.trouble = {
                name: _trouble(here.folder / f"{name}.log") for name in (here.engine.name, FACADE)
            }
            soak.given_up = times_given_up(here.folder / f"{here.engine.name}.log")
    keep(soak)
    return soak


async def _load(
    here: Site, soak: Soak, workflows: dict[str, list[Defined]], keep: Callable[[Soak], object]
) -> None:
    plan, operator = soak.plan, _Operator(here, soak)
    soak.dashboard = Dashboard(here.facade_url, [w.name for of in workflows.values() for w in of])
    began = time.monotonic()
    until = began + plan.minutes * 60
    beside = [
        asyncio.create_task(soak.dashboard.look(plan.looks)),
        asyncio.create_task(_sample(here, soak, operator, began, keep)),
        asyncio.create_task(operator.kill_again_and_again(until)),
    ]
    try:
        load = asyncio.create_task(_submit(here, soak, workflows, until))
        await _unless_one_fails(load, beside)
        await _unless_one_fails(asyncio.create_task(_drain(soak)), beside)
        await _unless_one_fails(asyncio.create_task(_until_clean(here, soak)), beside)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _unless_one_fails(main: asyncio.Task[None], beside: list[asyncio.Task[None]]) -> None:
    """Wait for the one; an error of what runs beside it must not wait for the end of the hour."""
    try:
        waiting: set[asyncio.Task[None]] = {main, *beside}
        while not main.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        main.cancel()


async def _define(here: Site, plan: Plan) -> dict[str, list[Defined]]:
    defined: dict[str, list[Defined]] = {}
    for kind in kinds.KINDS:
        for number in range(plan.each):
            name = f"{kind.name}-{number}"
            body = kinds.manifest(kind, name, plan.history, emails=plan.away)
            kept = await here.store.create(names.WORKFLOWS, NAMESPACE, body, WorkflowView)
            defined.setdefault(kind.name, []).append(Defined(name, kept.metadata.uid, kind.shape))
    return defined


async def _submit(here: Site, soak: Soak, workflows: dict[str, list[Defined]], until: float) -> None:
    """Runs at an even pace, whatever becomes of those before."""
    began = time.monotonic()
    pending: set[asyncio.Task[None]] = set()
    assert soak.dashboard is not None
    for number, kind in enumerate(kinds.mixture(_SEED)):
        due = began + number * 60 / soak.plan.rate
        if due >= until:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        of = workflows[kind.name][number % soak.plan.each]
        name = f"{kind.name}-run-{number}"
        soak.tracker.ask(name, kind, time.monotonic())
        soak.dashboard.recent.append((of.name, name))
        task = asyncio.create_task(_ask_for(here, soak.tracker, of, name))
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)


async def _ask_for(here: Site, tracker: RunTracker, of: Defined, name: str) -> None:
    async def create() -> None:
        await here.store.create(names.EXECUTIONS, NAMESPACE, execution(of, name), ExecutionView)

    await _insist(create)
    tracker.accept(name, time.monotonic())


async def _insist(create: Callable[[], Awaitable[None]]) -> None:
    """Create what must be there, though an answer may be lost."""
    for _ in range(5):
        try:
            await create()
            return
        except errors.AlreadyExists:
            return
        except errors.Unavailable:
            await asyncio.sleep(0.5)
    await create()


async def _drain(soak: Soak) -> None:
    """Wait until every run has ended and was judged; those that do not in time are lost."""
    tracker, began = soak.tracker, time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(soak.plan.patience):
            await tracker.all_ended()
    soak.seconds_to_drain = round(time.monotonic() - began, 1)
    tracker.record_lost()
    await asyncio.sleep(5)  # time for what should not come; nothing waits for it
    tracker.settle(time.monotonic(), after=0)


async def _until_clean(here: Site, soak: Soak) -> None:
    """Wait until no Job and no Pod is left, as all runs have ended; what is there then stays noted."""
    plan = soak.plan
    owed = plan.duty_timeout if plan.away else 0.0
    deadline = time.monotonic() + plan.cleanup_after + plan.patience + owed
    while True:
        counts = await samples.objects(here.store)
        soak.left = {plural: counts[plural] for plural in (names.JOBS.plural, names.PODS.plural)}
        if not any(soak.left.values()) or time.monotonic() > deadline:
            return
        await asyncio.sleep(1)


async def _sample(
    here: Site, soak: Soak, operator: _Operator, began: float, keep: Callable[[Soak], object]
) -> None:
    assert soak.dashboard is not None
    for number in range(1, 1 << 30):
        due = began + number * soak.plan.every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        soak.tracker.settle(now)
        window = soak.tracker.take_window()
        soak.samples.append(
            Sample(
                at=round(now - began, 1),
                life=operator.life,
                age=round(operator.age, 1),
                processes=samples.processes(here),
                objects=await samples.objects(here.store),
                etcd_mb=samples.etcd_mb(here.cluster.folder),
                submitted=soak.tracker.submitted,
                alive=soak.tracker.alive,
                lag_s=round(soak.tracker.lag(now), 2),
                waits_ms=samples.waits(
                    {
                        "start": window.starts,
                        "handover": window.handovers,
                        "facade": soak.dashboard.take_waits(),
                    }
                ),
            )
        )
        if number % 6 == 0:
            keep(soak)


@contextmanager
def frozen_code() -> Iterator[None]:
    """Let all processes that are started run the code as it is now.

    For an operator that is started again after an hour must be the one that was killed, though somebody has
    edited the sources meanwhile.
    """
    before = os.environ.get("PYTHONPATH")
    with tempfile.TemporaryDirectory(prefix="nightcrawler-soak-") as folder:
        for package in _PACKAGES:
            shutil.copytree(package, Path(folder) / Path(package).name)
        os.environ["PYTHONPATH"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before


def _trouble(log: Path, most: int = 20) -> list[str]:
    """The first lines of a log that report an error."""
    found: list[str] = []
    with log.open(errors="replace") as lines:
        for line in lines:
            if _TROUBLE.search(line) and EXPECTED not in line:
                found.append(line.strip()[:500])
                if len(found) == most:
                    break
    return found


def as_json(soak: Soak) -> dict[str, Any]:
    """What is written down, but for the verdict."""
    dashboard = soak.dashboard
    return {
        "plan": asdict(soak.plan),
        "runs": dict(soak.tracker.settled),
        "submitted": soak.tracker.submitted,
        "pods": soak.tracker.pods_seen,
        "wrong": dict(soak.tracker.wrong),
        "examples": soak.tracker.examples,
        "outages_s": soak.outages_s,
        "seconds_to_drain": soak.seconds_to_drain,
        "left": soak.left,
        "given_up": soak.given_up,
        "duty_timeout": soak.plan.duty_timeout,
        "facade": {
            "answers": dict(dashboard.answers) if dashboard else {},
            "wrong": list(dashboard.wrong) if dashboard else [],
        },
        "trouble": soak.trouble,
        "samples": [asdict(sample) for sample in soak.samples],
    }
