"""What features need around a site: receivers, a database, logs and usage of simulated nodes, a Secret."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from nightcrawler_api.archive.migrate import migrate
from nightcrawler_crds import names, phases
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.v1alpha1 import conditions
from tests.bench import receivers
from tests.bench.engines import NAMESPACE, Defined
from tests.bench.engines.nightcrawler import free_lease
from tests.bench.features import CHANNELS, MESSAGES, SECRET, Around, Feature, manifest, settings_of
from tests.bench.receivers import Receivers
from tests.bench.shapes import Shape
from tests.bench.site import Site

RECEIVERS: Final = "receivers"
"""The name of their process."""
_METRICS: Final = "metrics-server"
_SERVED: Final = "/apis/metrics.k8s.io/v1beta1/pods"
_PATIENCE: Final = 60.0
_LOG: Final = "".join(f"2026-01-02T03:04:05.{n:09d}Z stdout F line {n} of a step's log\n" for n in range(20))


def with_logs(folder: Path) -> Mapping[str, Sequence[str]]:
    """Arguments with which each simulated Pod has a log of twenty lines, the same for all."""
    log, configuration = folder / "step.log", folder / "logs.yaml"
    log.write_text(_LOG)
    rule: dict[str, Any] = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "of-steps"},
        "spec": {"logs": [{"logsFile": str(log), "follow": False}]},
    }
    configuration.write_text(json.dumps(rule))
    return {"kwok": (f"--config={configuration}",)}


async def surround(here: Site, folder: Path) -> tuple[Around, Receivers]:
    """Start and make all that the features need, in a folder that outlives the site.

    Raises:
        TimeoutError: Something does not work in time.
    """
    place = folder / RECEIVERS
    place.mkdir()
    here.launch(RECEIVERS, [sys.executable, "-m", "tests.bench.receivers", str(place)])
    await asyncio.to_thread(here.cluster.add_metrics)
    here.processes[_METRICS] = psutil.Process(here.cluster.pids()[_METRICS])
    secret = {"metadata": {"name": SECRET}, "stringData": {"password": "only in a Secret"}}
    await here.store.create(names.SECRETS, NAMESPACE, secret, dict[str, Any])
    url = f"sqlite:///{folder / 'archive.db'}"
    await asyncio.to_thread(migrate, url)
    await _until(lambda: receivers.read(place) is not None, "the receivers to serve")
    found = receivers.read(place)
    assert found is not None
    found.write_targets(folder / "targets")
    # An operator that does not find it asks again only after minutes.
    await _until(lambda: here.cluster.api.is_ok(_SERVED), "metrics.k8s.io to be served")
    return Around(
        targets=folder / "targets",
        authority=Path(found.authority),
        collector=found.traces,
        archive_url=url,
        log_url=f"file://{folder / 'logs'}",
    ), found


async def begin_anew(here: Site, on: Collection[Feature], around: Around) -> None:
    """Replace operator and facade by new ones, with these features and no others."""
    operator, facade = settings_of(on, around)
    if here.facade_url:
        await here.stop_facade()
        here.kill_operator()
    await free_lease(here.store)
    here.settings = operator
    await here.start_operator()
    await here.start_facade(**facade)


async def define(here: Site, name: str, shape: Shape, on: Collection[Feature]) -> Defined:
    """A workflow that uses these features."""
    kept = await here.store.create(names.WORKFLOWS, NAMESPACE, manifest(name, shape, on), WorkflowView)
    return Defined(name, kept.metadata.uid, shape)


async def until_settled(here: Site, patience: float = 180.0) -> None:
    """Wait until no run owes anything.

    Raises:
        TimeoutError: Some still do; says what.
        RuntimeError: Something was not done for a run.
    """
    deadline = time.monotonic() + patience
    while owing := await here.store.list_all(
        names.EXECUTIONS, NAMESPACE, ExecutionView, field_selector=phases.OWING_SELECTOR
    ):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(owing)} runs owe something, the first {owing[0].status.duties}")
        await asyncio.sleep(0.2)
    for run in await here.store.list_all(names.EXECUTIONS, NAMESPACE, ExecutionView):
        for said in run.status.conditions:
            if said.type == conditions.DUTIES_DONE and said.status == "False":
                raise RuntimeError(f"{run.metadata.name}: {said.message}")


def missing(on: Collection[Feature], before: Mapping[str, int], after: Mapping[str, int], runs: int) -> str:
    """What the receivers should have got of so many runs and have not, as a sentence; empty if nothing."""
    wanted = dict.fromkeys(CHANNELS, len(MESSAGES) * runs) if "notifications" in on else {}
    if "traces" in on:
        wanted["traces"] = runs
    lacking = {
        what: (after[what] - before[what], most)
        for what, most in wanted.items()
        if after[what] - before[what] < most
    }
    return ", ".join(f"{came} of {most} {what}" for what, (came, most) in lacking.items())


async def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not await asyncio.to_thread(holds):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_PATIENCE:g} s for {what}")
        await asyncio.sleep(0.1)
