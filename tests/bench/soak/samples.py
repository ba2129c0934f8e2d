"""What is measured every few seconds of a soak: processes, objects, waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource
from tests.bench.engines import NAMESPACE
from tests.bench.figures import milliseconds, percentile
from tests.bench.site import Site
from tests.bench.usage import cpu_seconds, families, pss_mb

COUNTED: Final = (
    names.WORKFLOWS,
    names.EXECUTIONS,
    names.JOBS,
    names.PODS,
    names.REVISIONS,
    names.EVENTS,
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process at a moment; `cpu` counts seconds since its start."""

    pss_mb: float
    fds: int
    threads: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Sample:
    """All at a moment; waits are those of the window since the sample before.

    Attributes:
        at: Seconds since the load began.
        life: Which life of the operator this is; the first is 0.
        age: Seconds since it was ready; negative before.
        processes: By name.
        objects: How many there are, by plural.
        etcd_mb: The size of its file.
        submitted: Runs so far.
        alive: Runs that have not ended.
        lag_s: The age of the oldest accepted run without a Pod.
        waits_ms: `start_p50`, `start_p99`, `handover_p50`, `handover_p99`, `facade_p50`, `facade_p99`; those
            of which there was none in the window are not there.
    """

    at: float
    life: int
    age: float
    processes: dict[str, Process]
    objects: dict[str, int]
    etcd_mb: float
    submitted: int
    alive: int
    lag_s: float
    waits_ms: dict[str, float] = field(default_factory=dict)


def processes(site: Site) -> dict[str, Process]:
    """Every component; descriptors and threads are those of the process itself."""
    return {
        name: Process(
            round(pss_mb(family), 2), process.num_fds(), process.num_threads(), round(cpu_seconds(family), 2)
        )
        for name, process, family in families(site.processes)
    }


async def objects(store: Store) -> dict[str, int]:
    """How many objects of each kind there are, at the price of one of each."""
    return {resource.plural: await count(store, resource) for resource in COUNTED}


async def count(store: Store, resource: Resource) -> int:
    """How many objects of a kind there are in the bench's namespace."""
    page = await store.list_page(resource, NAMESPACE, limit=1)
    return len(page.items) + (page.metadata.remaining_item_count or 0)


def etcd_mb(folder: Path) -> float:
    """The size of the file in which etcd keeps everything, in MB."""
    return round(sum(file.stat().st_size for file in folder.rglob("member/snap/db")) / 1e6, 2)


def waits(by_name: Mapping[str, list[float]]) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds, of each list of seconds that is not empty."""
    return {
        f"{name}_{word}": milliseconds(percentile(found, share))
        for name, found in by_name.items()
        if found
        for word, share in (("p50", 0.5), ("p99", 0.99))
    }


def sample_from(read: Mapping[str, Any]) -> Sample:
    """A sample as it was written down."""
    return Sample(**{**read, "processes": {name: Process(**p) for name, p in read["processes"].items()}})
