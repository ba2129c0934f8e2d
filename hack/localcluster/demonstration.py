"""The cluster of `make demo` and `make cluster-up`: `up` and `down`, each as often as one likes."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import binaries, cgroups, fakenodes, kind, namespaces, processes, teardown
from .cluster import LocalCluster
from .errors import ClusterError
from .progress import elapsed, say
from .state import load

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class BuildPaths:
    """The paths of the cluster.

    Attributes:
        build: The folder of all that is made: `cluster/`, `kubeconfig`, `bin/kubectl`.
    """

    build: Path = _ROOT / "build"

    @property
    def cluster(self) -> Path:
        """The embedded cluster's folder."""
        return self.build / "cluster"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, whichever cluster it is."""
        return self.build / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        """The kubectl of the embedded cluster."""
        return self.build / "bin" / "kubectl"


def up_named(paths: BuildPaths, named: Path) -> None:
    """Leave a link to the kubeconfig that the user names."""
    if not named.is_file():
        raise ClusterError(f"NIGHTCRAWLER_KUBECONFIG names {named}, which is no file. Correct or unset it.")
    paths.build.mkdir(parents=True, exist_ok=True)
    paths.kubeconfig.unlink(missing_ok=True)
    paths.kubeconfig.symlink_to(named.absolute())
    say(f"using the cluster of {named} as it is (NIGHTCRAWLER_KUBECONFIG)")


def up_kind(paths: BuildPaths, images: Sequence[Path] = ()) -> None:
    """Start or find the kind cluster, and give its nodes images."""
    paths.kubeconfig.unlink(missing_ok=True)
    kind.up(paths.kubeconfig)
    for archive in images:
        kind.load(archive)
    say("the kind cluster is up; it has no simulated GPU nodes")


def up_embedded(paths: BuildPaths, images: Sequence[Path] = (), *, node: bool, kwok_nodes: int) -> None:
    """Start the embedded cluster, or find it running and restart what has died; give its node images."""
    began = time.monotonic()
    with _alone(paths):
        running = _running(paths)
        if running is not None:
            repaired = _repair(running)
            say(
                f"the cluster is up already, at {running.server_url}"
                + (f"; restarted {repaired}" if repaired else "")
            )
            cluster = running
            for archive in images if running.has_node else ():
                running.load_image(archive)
        else:
            cluster = _start(paths, images, node=node, kwok_nodes=kwok_nodes)
            say(f"the cluster is ready after {elapsed(time.monotonic() - began)}, at {cluster.server_url}")
        paths.kubeconfig.unlink(missing_ok=True)
        paths.kubeconfig.touch(mode=0o600)
        shutil.copyfile(cluster.kubeconfig, paths.kubeconfig)
        paths.kubectl.parent.mkdir(parents=True, exist_ok=True)
        paths.kubectl.unlink(missing_ok=True)
        paths.kubectl.symlink_to(binaries.kube() / "kubectl")


def down(paths: BuildPaths) -> None:
    """Stop the cluster, whichever it is, and check that nothing of it is left.

    Raises:
        ClusterError: If something is left; named one by one.
    """
    if paths.kubeconfig.is_symlink():
        say(f"the cluster of {paths.kubeconfig.readlink()} stays as it is: it is yours")
    elif shutil.which("kind") is not None and kind.engine_answers() and kind.is_up():
        kind.down()
        say("the kind cluster is deleted")
    paths.build.mkdir(parents=True, exist_ok=True)
    with _alone(paths):
        folder = paths.cluster.absolute()
        networks = namespaces.claimed_by(folder)
        was_there = load(folder) is not None or bool(networks) or bool(processes.belonging_to(folder))
        teardown.teardown(folder)
        if os.geteuid() == 0:
            teardown.sweep()
        left = _leftovers(folder, networks)
        if left:
            raise ClusterError(
                "Of the cluster there is still: " + "; ".join(left) + ". Please end it by hand."
            )
        if folder.exists():
            shutil.rmtree(folder)
        paths.kubeconfig.unlink(missing_ok=True)
        shutil.rmtree(paths.kubectl.parent, ignore_errors=True)
    if was_there:
        say("the embedded cluster is down: no process, mount, interface, rule or cgroup of it is left")
    else:
        say("no embedded cluster was up")


def _start(paths: BuildPaths, images: Sequence[Path], *, node: bool, kwok_nodes: int) -> LocalCluster:
    if node and os.geteuid() != 0:
        say("NOT ROOT: this cluster has no real node. Control plane and simulated GPU nodes work, but no")
        say("program runs in a Pod, and a Pod for a real node stays Pending. Run as root to have one.")
        node = False
    what = "control plane" + (", a real node" if node else "") + f", {kwok_nodes} simulated GPU nodes"
    say(f"starting the embedded cluster: {what}")
    cluster = LocalCluster.start(
        paths.cluster, node=node, kwok_nodes=fakenodes.gpu_nodes(kwok_nodes), outlive=True, images=images
    )
    if node:
        cluster.add_metrics()
    return cluster


def _running(paths: BuildPaths) -> LocalCluster | None:
    state = load(paths.cluster.absolute())
    if state is None or not state.ready:
        return None
    cluster = LocalCluster(state)
    return cluster if cluster.is_alive("etcd") and cluster.is_alive("kube-apiserver") else None


def _repair(cluster: LocalCluster) -> str:
    dead = [name for name in cluster.pids() if not cluster.is_alive(name)]
    for name in dead:
        cluster.start_component(name)
    return ", ".join(dead)


def _leftovers(folder: Path, networks: list[str]) -> list[str]:
    """What is still there of a cluster, in words."""
    mounted = Path("/proc/self/mountinfo").read_text()
    left = [f"process {process.pid}" for process in processes.belonging_to(folder)]
    left += [f"mount below {path}" for path in (folder, *_held(networks)) if f" {path}" in mounted]
    left += [f"interface {name}" for name in networks if Path(f"/sys/class/net/{name}").exists()]
    left += [f"cgroup /{name}" for name in networks if cgroups.exists(name)]
    return left + [f"folder {path}" for path in _held(networks) if path.exists()]


def _held(networks: list[str]) -> list[Path]:
    return [namespaces.BASE / name for name in networks]


@contextmanager
def _alone(paths: BuildPaths) -> Iterator[None]:
    """Hold a lock: one `up` or `down` of these paths at a time."""
    paths.build.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(paths.build, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
