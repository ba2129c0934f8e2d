"""Where a row is measured: a control plane of its own, the operator as a process, and a client."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from localcluster import FakeNode, LocalCluster
from nightcrawler_crds import names
from nightcrawler_crds.connection import Connection
from nightcrawler_crds.store import Store
from tests.support.cluster import install_crds

NAMESPACE: Final = "default"
_PATIENCE: Final = 60.0
_QPS: Final = ("--kube-api-qps=300", "--kube-api-burst=600")
"""The defaults (20 qps) would be the bottleneck long before anything that is measured here."""


@dataclass(frozen=True)
class Site:
    """A cluster with an operator, and the means to load and watch it."""

    cluster: LocalCluster
    store: Store
    connection: Connection
    operator: psutil.Process


@asynccontextmanager
async def site(*, nodes: int = 4, audit: bool = False) -> AsyncIterator[Site]:
    """A fresh control plane with played nodes and one operator; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nightcrawler-bench-"))
    played = [FakeNode(f"played-{number}", pods=10_000) for number in range(nodes)]
    extra = {"kube-controller-manager": _QPS, "kube-scheduler": _QPS}
    try:
        with LocalCluster.start(
            folder / "cluster", kwok_nodes=played, extra_args=extra, audit=audit
        ) as cluster:
            install_crds(cluster)
            connection = await Connection.open("nightcrawler-bench", kubeconfig=str(cluster.kubeconfig))
            with _operator(cluster, folder) as process:
                try:
                    store = Store(connection)
                    await _leads(store)
                    yield Site(cluster, store, connection, psutil.Process(process.pid))
                finally:
                    process.terminate()
                    await asyncio.to_thread(process.wait, 20)
                    await connection.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _operator(cluster: LocalCluster, folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "NIGHTCRAWLER_KUBECONFIG": str(cluster.kubeconfig),
        "NIGHTCRAWLER_LEASE_NAMESPACE": NAMESPACE,
        "NIGHTCRAWLER_PROBE_PORT": "0",
        "NIGHTCRAWLER_LOG_LEVEL": "warning",
    }
    with (folder / "operator.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "nightcrawler_operator"], env=environment, stdout=log, stderr=log
        )


async def _leads(store: Store) -> None:
    """Wait until the operator holds its Lease, for before that it does no work."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        leases = await store.list_all(names.LEASES, NAMESPACE, dict[str, Any])
        if any(lease.get("spec", {}).get("holderIdentity") for lease in leases):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the operator did not lead within {_PATIENCE:g} s")


def session_of(site: Site) -> aiohttp.ClientSession:
    """The client's session, for what the store has no method for."""
    return site.connection.session
