"""The archive: how soon the facade answers those who look through what has ended, and what that takes.

Of a month's runs the cluster has a few, some of them live, and the archive all others; they are put there as
the archiver does. Fifty clients ask once a second each, at any moment of it; what they ask stands in
`questions.HistoryVisitor`. The same for SQLite and for a PostgreSQL server of the bench's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
import msgspec

from nightcrawler_api.archive import writing
from nightcrawler_api.archive.contract import ArchivedRevision
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.migrate import migrate
from nightcrawler_api.archive.writing import EndedRun, Place
from nightcrawler_crds import clock, names
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.bench import catalogue
from tests.bench.dashboards import Looks, visit
from tests.bench.engines import NAMESPACE, Defined
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.measured import Measured
from tests.bench.questions import HISTORY_KINDS, Answered
from tests.bench.quiet import quiet_pss
from tests.bench.rows.list import fill, until_it_says
from tests.bench.site import FACADE, Site, site
from tests.bench.sizes import Sizes
from tests.bench.usage import Meter
from tests.support.postgres import a_server

_BATCH: Final = 500
_WARM_SECONDS: Final = 5.0
_ARCHIVED_WITHIN: Final = 120
"""Seconds: fewer than a minute for 5,000 on PostgreSQL."""
_KINDS: Final[tuple[Answered, ...]] = ("page", "deep", "cursor", "search")


async def measure(sizes: Sizes) -> Measured:
    """`<database>_<kind>_p99_ms` of both databases, and `base_mb`."""
    base = await _at_rest()
    async with site(operator=False) as here:
        now = clock.utcnow()
        workflows, of = await fill(
            here,
            workflows=sizes.archive_workflows,
            runs=sizes.archive_runs,
            cached=sizes.archive_cached,
            live=sizes.list_live,
            now=now,
        )
        runs = [of.count(number) for number in range(len(workflows))]
        found: dict[str, Looks] = {}
        meter = Meter(here.processes)
        for name, url, tidy in _databases(here):
            await _archive(here, url, sizes, workflows, of, now)
            await here.start_facade(keep="archive", archive_url=url)
            await _until_all_are_archived(here, sizes)
            tidy()
            await _visit(here, sizes, _WARM_SECONDS, runs)
            found[name] = await _visit(here, sizes, sizes.archive_seconds, runs)
            await here.stop_facade()
        usage = meter.read()
    return Measured(
        {"base_mb": base}
        | {key: value for name, looks in found.items() for key, value in _figures(name, looks)},
        usage,
        {
            f"{name}, % of answers by ms: {kind}": distribution(looks.of(kind))
            for name, looks in found.items()
            for kind in HISTORY_KINDS
        },
        {
            f"answers of {name}": {kind: len(looks.of(kind)) for kind in HISTORY_KINDS}
            for name, looks in found.items()
        },
    )


def _figures(name: str, looks: Looks) -> Iterator[tuple[str, float]]:
    for kind in _KINDS:
        yield f"{name}_{kind}_p99_ms", milliseconds(percentile(looks.of(kind), 0.99))


async def _at_rest() -> float:
    """Memory of operator and facade in an empty cluster, with an archive that has nothing to do."""
    settings = {"keep": "archive", "namespace": NAMESPACE}
    async with site(settings=settings) as here:
        url = f"sqlite:///{here.folder / 'empty.db'}"
        await asyncio.to_thread(migrate, url)
        await here.start_facade(keep="archive", archive_url=url)
        return round(sum((await quiet_pss(here, (NIGHTCRAWLER.name, FACADE))).values()), 1)


def _databases(here: Site) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Each database with its URL, migrated and empty, and what it does by itself within a minute.

    The server has the settings that it comes with, and ends with the loop.
    """
    url = f"sqlite:///{here.folder / 'archive.db'}"
    migrate(url)
    yield "sqlite", url, lambda: None
    with a_server(settings=()) as server:
        migrate(server.url())
        yield "postgresql", server.url(), lambda: server.execute("VACUUM ANALYZE")


async def _visit(here: Site, sizes: Sizes, seconds: float, runs: list[int]) -> Looks:
    return await visit(
        here.facade_url, clients=sizes.list_clients, seconds=seconds, as_fast=False, runs=runs, history=True
    )


async def _archive(
    here: Site, url: str, sizes: Sizes, workflows: list[Defined], of: list[int], now: datetime
) -> None:
    """Put those into the archive that the cluster does not have."""
    cluster = await here.store.get(names.NAMESPACES, "", "kube-system", WorkflowView)
    place = Place(cluster.metadata.uid, NAMESPACE)
    database = Database(url)
    used = [
        ArchivedRevision("wf-0123456789", "", data={"steps": [{"name": step} for step in catalogue.STEPS]})
    ]
    try:
        for begin in range(sizes.archive_cached, sizes.archive_runs, _BATCH):
            batch = [
                EndedRun(_ended(number, workflows[of[number]], now), catalogue.STEPS)
                for number in range(begin, min(begin + _BATCH, sizes.archive_runs))
            ]
            await database.write(lambda c, b=batch: writing.add_runs(c, place, b, used, now))  # type: ignore[misc]
    finally:
        await database.close()


def _ended(number: int, of: Defined, now: datetime) -> ExecutionView:
    body: dict[str, Any] = catalogue.execution(number, of)
    status = catalogue.ended(number, now)
    began = datetime.fromisoformat(status["startTime"])
    body["metadata"] |= {
        "namespace": NAMESPACE,
        "uid": f"00000000-0000-0000-0000-{number:012}",
        "creationTimestamp": clock.to_wire(began - timedelta(seconds=number % 60)),
    }
    return msgspec.convert(body | {"status": status}, ExecutionView, strict=False)


async def _until_all_are_archived(here: Site, sizes: Sizes) -> None:
    """Wait until the facade has archived what has ended in the cluster, and lists all."""
    await until_it_says(f"{here.facade_url}/api/executions?limit=1", "total", sizes.archive_runs)
    await until_it_says(f"{here.facade_url}/api/workflows?pageSize=1", "total", sizes.archive_workflows)
    written = f"nightcrawler_api_archive_written_total {sizes.archive_cached - sizes.list_live:.1f}"
    async with aiohttp.ClientSession() as session, asyncio.timeout(_ARCHIVED_WITHIN):
        while True:
            async with session.get(f"{here.facade_url}/metrics") as answer:
                if written in (await answer.text()).splitlines():
                    return
            await asyncio.sleep(0.5)
