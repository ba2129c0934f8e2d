"""The cgroup below which a node's Pods live: one for each cluster, in every hierarchy.

The kubelet wants it to be there before it starts. Both versions are served:
cgroup v1 with its many hierarchies, v2 with one, and the hybrid of both.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from .errors import ClusterError


def make(name: str) -> None:
    """Make the cgroup `/name` in every hierarchy."""
    for root in _roots():
        folder = root / name
        folder.mkdir(exist_ok=True)
        _delegate(root)
        _delegate(folder)
        _inherit_cpuset(root, folder)


def kill(name: str) -> None:
    """End everything that runs in the cgroup `/name`.

    Raises:
        ClusterError: If something in it will not die.
    """
    deadline = time.monotonic() + 10
    while pids := _members(name):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Processes {sorted(pids)} in the cgroup /{name} would not end; a reboot ends them."
            )
        time.sleep(0.05)


def remove(name: str) -> None:
    """Remove the cgroup `/name`; nothing runs in it any more."""
    for root in _roots():
        for folder in _tree(root / name):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


def exists(name: str) -> bool:
    """Whether any hierarchy has the cgroup `/name`."""
    return any((root / name).is_dir() for root in _roots())


def _roots() -> list[Path]:
    """Where the hierarchies are mounted."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    mounts = [(fields[4], fields[fields.index("-") + 1]) for fields in lines]
    return [Path(place) for place, kind in mounts if kind in ("cgroup", "cgroup2")]


def _members(name: str) -> set[int]:
    folders = [folder for root in _roots() for folder in _tree(root / name)]
    return {int(pid) for folder in folders for pid in (folder / "cgroup.procs").read_text().split()}


def _tree(folder: Path) -> list[Path]:
    """A cgroup and all below it, the deepest first."""
    return [Path(path) for path, _, _ in os.walk(folder, topdown=False)]


def _delegate(folder: Path) -> None:
    """Let the children of a v2 cgroup have every controller that it has itself."""
    controllers = folder / "cgroup.controllers"
    if controllers.exists():
        for controller in controllers.read_text().split():
            with contextlib.suppress(OSError):  # Some, such as a real-time one, cannot be had by all.
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_cpuset(parent: Path, folder: Path) -> None:
    """A new v1 cpuset is empty, and nothing can run in it until it is filled."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (parent / name).exists() and (folder / name).exists() and not (folder / name).read_text().strip():
            (folder / name).write_text((parent / name).read_text())
