"""Where a row is measured: a control plane of its own, the engine as a process, and a client."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from localcluster import FakeNode, LocalCluster, ports
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.store import Store
from tests.bench.engines import NAMESPACE, Engine, Settings
from tests.bench.engines.nightcrawler import NIGHTCRAWLER, environment_of
from tests.bench.programs import Program

__all__ = ["BENCH", "FACADE", "NAMESPACE", "Site", "site"]

BENCH: Final = "bench"
"""The bench itself among the processes, and its user agent: it takes its share of the machine too."""
FACADE: Final = "nightcrawler-api"
_PATIENCE: Final = 60.0
_QPS: Final = ("--kube-api-qps=300", "--kube-api-burst=600")
"""The defaults (20 qps) would be the bottleneck long before anything that is measured here."""


@dataclass
class Site:
    """A cluster with an engine in it, and the means to load and watch it.

    Attributes:
        cluster: The control plane and the simulated nodes.
        store: The bench's own client.
        connection: Its connection.
        engine: What runs the workflows.
        folder: For logs; gone afterwards.
        settings: The engine's settings, for every start of it.
        processes: Every component by name: those of the cluster, the engine, the facade, the bench.
        facade_url: Where the facade answers; empty without one.
    """

    cluster: LocalCluster
    store: Store
    connection: Connection
    engine: Engine
    folder: Path
    settings: Settings
    processes: dict[str, psutil.Process] = field(default_factory=dict)
    facade_url: str = ""
    _programs: dict[str, Program] = field(default_factory=dict)

    @property
    def operator(self) -> psutil.Process:
        """The engine's process."""
        return self.processes[self.engine.name]

    async def start_operator(self) -> None:
        """Start the engine, for the first time or after `kill_operator`, and wait until it works.

        Raises:
            TimeoutError: It does not in time.
        """
        self.launch_operator()
        await self.until_operator_works()

    def launch_operator(self) -> None:
        """Start the engine's process, and wait for nothing."""
        log = self.folder / f"{self.engine.name}.log"
        self._add(self.engine.name, self.engine.start(self.cluster, log, self.settings))

    async def until_operator_works(self, patience: float = _PATIENCE) -> None:
        """Wait until the engine's process works."""
        program = self._programs[self.engine.name]
        deadline = time.monotonic() + patience
        while not await self.engine.works(self.store, self.cluster):
            if not program.is_alive:
                raise RuntimeError(f"{self.engine.name} ended instead of starting")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.engine.name} did not work within {patience:g} s")
            await asyncio.sleep(0.05)

    def kill_operator(self) -> None:
        """End the engine's process in the middle of whatever it does (SIGKILL)."""
        self.processes.pop(self.engine.name)
        self._programs[self.engine.name].kill()

    def launch_standby(self) -> str:
        """Start a second process of the engine beside the first one; its name among the processes."""
        name = f"{self.engine.name}-standby"
        log = self.folder / f"{name}.log"
        self._add(name, self.engine.start(self.cluster, log, self.settings))
        return name

    def kill_leader(self) -> None:
        """End the engine's first process (SIGKILL); the standby is the engine's process from now on."""
        self.kill_operator()
        name = f"{self.engine.name}-standby"
        del self.processes[name]
        self._add(self.engine.name, self._programs.pop(name))

    async def start_facade(self, **settings: object) -> None:
        """Start the facade on a free port, and wait until it can serve."""
        port = ports.pick(["api"])["api"]
        used: dict[str, object] = {
            "kubeconfig": self.cluster.kubeconfig,
            "namespace": NAMESPACE,
            "api_port": port,
            "log_level": "warning",
            **settings,
        }
        argv = [str(Path(sys.executable).parent / "nightcrawler-api")]
        program = Program(self.cluster, argv, self.folder / f"{FACADE}.log", environment_of(used))
        self._add(FACADE, program)
        self.facade_url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _PATIENCE
        async with aiohttp.ClientSession() as session:
            while not await _answers(session, f"{self.facade_url}/readyz"):
                if not program.is_alive or time.monotonic() > deadline:
                    raise RuntimeError("the facade did not become ready")
                await asyncio.sleep(0.05)

    def launch(self, name: str, argv: Sequence[str]) -> None:
        """Start another program, which is measured with the others and ends with the site."""
        self._add(name, Program(self.cluster, argv, self.folder / f"{name}.log"))

    async def stop_facade(self) -> None:
        """End the facade, so that it can be started with other settings."""
        self.processes.pop(FACADE)
        await asyncio.to_thread(self._programs.pop(FACADE).end)

    def logs(self) -> str:
        """The ends of the logs of the programs that were started here, for when a row fails."""
        return "\n".join(f"{name}:\n{program.last_words()}" for name, program in self._programs.items())

    async def end(self) -> None:
        """End the programs that were started here."""
        for program in reversed(self._programs.values()):
            await asyncio.to_thread(program.end)

    def _add(self, name: str, program: Program) -> None:
        self._programs[name] = program
        self.processes[name] = program.process


@asynccontextmanager
async def site(
    engine: Engine = NIGHTCRAWLER,
    *,
    nodes: int = 4,
    audit: bool = False,
    operator: bool = True,
    facade: bool = False,
    settings: Settings | None = None,
    arguments: Mapping[str, Sequence[str]] | None = None,
) -> AsyncIterator[Site]:
    """A fresh control plane and what runs on it; all of it is gone afterwards.

    An error that passes through gets the ends of the logs as a note.

    Args:
        engine: What runs the workflows.
        nodes: How many nodes are simulated; each takes 10,000 Pods.
        audit: Whether every request is written to `cluster.audit_log`.
        operator: Whether the engine is started; otherwise `start_operator` does it later.
        facade: Whether the facade is started too.
        settings: The engine's settings by lower-case name, besides its usual ones.
        arguments: Further arguments of the control plane's components, by their names.
    """
    folder = Path(tempfile.mkdtemp(prefix="nightcrawler-bench-"))
    simulated = [FakeNode(f"simulated-{number}", cpu="10000", pods=10_000) for number in range(nodes)]
    extra = {"kube-controller-manager": _QPS, "kube-scheduler": _QPS, **(arguments or {})}
    try:
        with LocalCluster.start(
            folder / "cluster", kwok_nodes=simulated, extra_args=extra, audit=audit
        ) as cluster:
            connection = await Connection.open("bench", kubeconfig=str(cluster.kubeconfig))
            here = Site(cluster, Store(connection), connection, engine, folder, settings or {})
            here.processes = {name: psutil.Process(pid) for name, pid in cluster.pids().items()}
            here.processes[BENCH] = psutil.Process()
            try:
                await asyncio.to_thread(engine.install, cluster)
                if operator:
                    await here.start_operator()
                if facade:
                    await here.start_facade()
                yield here
            except BaseException as error:
                error.add_note(here.logs())
                raise
            finally:
                await here.end()
                await connection.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
