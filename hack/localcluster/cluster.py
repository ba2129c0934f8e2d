"""One cluster, as tests, benchmarks and the command line use it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from . import (
    binaries,
    controlplane,
    credentials,
    kwok,
    metrics,
    namespaces,
    ports,
    teardown,
    volumes,
)
from . import node as realnode
from .api import Api
from .components import LOOPBACK, PORTS, USUAL_PORTS
from .credentials import ADMIN, OPERATOR
from .errors import ClusterError
from .fakenodes import MANAGED, FakeNode
from .progress import heartbeat
from .state import State, load
from .supervisor import PortTakenError, Supervisor
from .watchdog import Watchdog
from .watchdog import start as start_watchdog

_ATTEMPTS = 5


class LocalCluster:
    """A cluster in a folder. Start it with `start`, or find a running one with `open`."""

    def __init__(self, state: State, watchdog: Watchdog | None = None) -> None:
        self._state = state
        self._supervisor = Supervisor(state)
        self._plan = state.plan()
        self._watchdog = watchdog
        self.folder = Path(state.folder)
        self.api = Api(self.server_url, self.authority, state.tokens[ADMIN])

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        node: bool = False,
        kwok_nodes: Sequence[FakeNode] = (),
        users: Mapping[str, Sequence[str]] | None = None,
        extra_args: Mapping[str, Sequence[str]] | None = None,
        audit: bool = False,
        outlive: bool = False,
        images: Sequence[Path] = (),
    ) -> Self:
        """Start a cluster and wait until it can be used.

        Args:
            folder: Its folder: made if missing; what an earlier, dead cluster left there is removed.
            node: Whether it has a real node, which runs real Pods; needs root.
            kwok_nodes: Nodes that kwok simulates.
            users: Further users and their groups; `nightcrawler-operator` is always one, without any rights.
            extra_args: Further arguments by component (`kube-apiserver`, ...); they win over the usual ones.
            audit: Whether the API server writes every request to `audit.log` in the folder.
            outlive: Whether it goes on after this process; otherwise it ends with it, however that ends.
            images: Archives of images that the real node has from the start, as `docker save` writes them.
                Each is in a file that never changes: they are unpacked once, and kept by the file's name.

        Raises:
            ClusterError: If that fails; then only its logs are left.
        """
        folder = folder.absolute()
        teardown.refuse_if_running(folder)
        if node and os.geteuid() != 0:
            raise ClusterError("A real node needs root; run as root, or without the node (--no-node).")
        teardown.teardown(folder)
        for attempt in range(_ATTEMPTS):
            cluster = None
            watchdog = None if outlive else start_watchdog(folder)
            try:
                state = _new_state(folder, users or {}, extra_args or {}, images, node=node, audit=audit)
                cluster = cls(state, watchdog)
                cluster._bring_up(kwok_nodes)
            except BaseException as error:
                teardown.teardown(folder)
                if watchdog is not None:
                    watchdog.dismiss()
                if not isinstance(error, PortTakenError) or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return cluster
        raise AssertionError("unreachable")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The cluster that runs in `folder`.

        Raises:
            ClusterError: If none does.
        """
        state = load(folder.absolute())
        if state is None:
            raise ClusterError(f"No cluster runs in {folder}; start one with `make cluster-up`.")
        return cls(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def has_node(self) -> bool:
        """Whether it has a real node."""
        return bool(self._state.network)

    @property
    def server_url(self) -> str:
        """The API server's URL."""
        return self._plan.server_url

    @property
    def authority(self) -> Path:
        """The certificate that signed the servers'."""
        return Path(self._plan.pki("ca.crt"))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfig_of(ADMIN)

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON object a request and line."""
        return self.folder / "audit.log"

    def token(self, user: str = OPERATOR) -> str:
        """A user's bearer token."""
        if user not in self._state.tokens:
            raise ClusterError(f"The cluster has no user {user!r}; name it in `users` when you start it.")
        return self._state.tokens[user]

    def kubeconfig_of(self, user: str) -> Path:
        """A user's kubeconfig."""
        self.token(user)
        return self._plan.kubeconfig(user)

    def log(self, component: str) -> Path:
        """A component's log."""
        return self._supervisor.log(component)

    def pids(self) -> dict[str, int]:
        """The process id of each component."""
        return {name: process.pid for name, process in self._state.processes.items()}

    def is_alive(self, component: str) -> bool:
        """Whether a component runs."""
        return self._supervisor.is_alive(component)

    def kubectl(self, *arguments: str, stdin: str | None = None, user: str = ADMIN) -> str:
        """What kubectl prints.

        Raises:
            ClusterError: If it fails; with its words.
        """
        ended = subprocess.run(
            [
                str(self._plan.programs / "kubectl"),
                f"--kubeconfig={self.kubeconfig_of(user)}",
                # Its usual cache is the user's, by address, and an earlier cluster may have had this one's.
                f"--cache-dir={self.folder / 'kubectl-cache'}",
                *arguments,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)} failed: {ended.stderr.strip()}")
        return ended.stdout

    def stop_component(self, name: str, *, kill: bool = False) -> None:
        """End one component: with SIGTERM, or with SIGKILL."""
        self._supervisor.end(name, kill=kill)

    def start_component(self, name: str) -> None:
        """Start a component that was ended, and wait until the API server is ready again."""
        self._supervisor.start_again(name)
        if self.is_alive("kube-apiserver"):
            self._supervisor.wait(lambda: self.api.is_ok("/readyz"), "the API server was ready", 60, (name,))

    def add_fake_nodes(self, *nodes: FakeNode) -> None:
        """Add nodes that kwok simulates, and wait until they are ready."""
        kwok.start(self._supervisor, self._plan)
        kwok.add(self._supervisor, self.api, list(nodes))

    def remove_node(self, name: str) -> None:
        """Delete a Node object; what ran there is then collected by the controller manager."""
        self.api.delete(f"/api/v1/nodes/{name}")

    def lose_fake_node(self, name: str) -> None:
        """Stop the heartbeat of a simulated node, as if it had lost power.

        Its Pods freeze. The controller manager finds it unreachable after
        `--node-monitor-grace-period` (50 s unless `extra_args` say otherwise).
        """
        self.api.merge(f"/api/v1/nodes/{name}", {"metadata": {"labels": {MANAGED: "lost"}}})

    def return_fake_node(self, name: str) -> None:
        """Restore the heartbeat of a lost node."""
        self.api.merge(f"/api/v1/nodes/{name}", {"metadata": {"labels": {MANAGED: "fake"}}})

    def add_metrics(self) -> None:
        """Let it serve metrics.k8s.io; the first figures come some twenty seconds later."""
        metrics.start(self._supervisor, self._plan, self.api)

    def load_image(self, archive: Path) -> None:
        """Give the real node the images of an archive, as `docker save` writes it, unless it has them.

        Raises:
            ClusterError: If there is no real node, or containerd refuses the archive.
        """
        if not self.has_node:
            raise ClusterError(
                "The cluster has no real node, so nothing runs an image in it: start it as root."
            )
        if str(archive) in self._state.images:
            return
        with heartbeat(f"giving the node {archive.name}"):
            realnode.load_image(self.folder, archive)
        self._state.images.append(str(archive))
        self._state.save()

    def stop(self) -> None:
        """End it and delete its data; its logs stay in the folder."""
        teardown.teardown(self.folder)
        if self._watchdog is not None:
            self._watchdog.dismiss()
            self._watchdog = None

    def _bring_up(self, kwok_nodes: Sequence[FakeNode]) -> None:
        if self._state.network:
            realnode.start_containerd(self._supervisor, self._plan)
        controlplane.start(self._supervisor, self._plan, self.api)
        if self._state.network:
            realnode.start(self._supervisor, self._plan, namespaces.network(self._state.network))
        if kwok_nodes:
            self.add_fake_nodes(*kwok_nodes)
        controlplane.wait(self._supervisor, self._plan, self.api)
        if self._state.network:
            realnode.wait(self._supervisor, self._plan, self.api)
            volumes.start(self._supervisor, self._plan, self.api)
        self._state.ready = True
        self._state.save()


def _new_state(
    folder: Path,
    users: Mapping[str, Sequence[str]],
    extra_args: Mapping[str, Sequence[str]],
    images: Sequence[Path],
    *,
    node: bool,
    audit: bool,
) -> State:
    """Prepare the folder, and the namespaces if it has a node: all but the processes."""
    programs = binaries.kube()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    network = realnode.prepare(folder, images) if node else None
    state = State(
        folder=str(folder),
        programs=str(programs),
        host=network.cluster if network else LOOPBACK,
        ports=dict(USUAL_PORTS) if network else ports.pick(PORTS),
        tokens=credentials.new_tokens({OPERATOR: (), **users}, folder / "tokens.csv"),
        extra_args={name: list(arguments) for name, arguments in extra_args.items()},
        audit=audit,
        images=[str(archive) for archive in images] if node else [],
        pods_reach_it=network is not None,
        network=network.name if network else "",
    )
    state.save()
    controlplane.prepare(state.plan(), state.tokens)
    return state
