"""Stops a cluster so that nothing of it is left, whichever process started it and however that ended."""

import shutil
from pathlib import Path

from . import cgroups, namespaces, processes
from .errors import ClusterError
from .state import load

# Logs stay until the folder goes: they say what happened.
_DATA = (
    "etcd",
    "pki",
    "kubeconfigs",
    "tokens.csv",
    "kwok",
    "node",
    "volumes",
    "kubectl-cache",
    "audit-policy.yaml",
    "state.json",
)


def teardown(folder: Path) -> None:
    """End every process of the cluster in `folder` and delete its data; its logs stay.

    Works from the state file and from the variable in the environment of its
    processes, so that a starter that was killed half-way leaves nothing behind.

    Raises:
        ClusterError: If something could not be removed.
    """
    folder = folder.absolute()
    state = load(folder)
    # The clients of the API server first, it next, its storage last.
    for process in reversed(list(state.processes.values()) if state is not None else []):
        processes.stop([process.started], patience=3)
    networks = namespaces.claimed_by(folder)
    for name in networks:
        cgroups.kill(name)
    processes.stop(processes.belonging_to(folder), patience=3)
    for name in networks:
        cgroups.remove(name)
        with namespaces.lock():
            namespaces.release(name)
    for name in _DATA:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sweep() -> None:
    """Tear down clusters with a real node whose starter and processes are all dead.

    They hold namespaces, an interface and a cgroup that no process shows any more.
    """
    with namespaces.lock():
        abandoned = {
            name: namespaces.owner(name) for name in namespaces.names() if namespaces.is_abandoned(name)
        }
    for name, owner in abandoned.items():
        if owner is not None:
            teardown(Path(owner.folder))
        else:
            cgroups.remove(name)
            with namespaces.lock():
                namespaces.release(name)


def refuse_if_running(folder: Path) -> None:
    """Refuse to replace a cluster that works.

    Raises:
        ClusterError: If the cluster in `folder` came up and its API server still runs.
    """
    state = load(folder)
    server = state.processes.get("kube-apiserver") if state is not None and state.ready else None
    if server is not None and processes.is_alive(server.started):
        raise ClusterError(f"A cluster already runs in {folder}; end it first (`make cluster-down`).")
