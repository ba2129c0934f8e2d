"""The identity of this process, and what can be observed of the Lease's holder; see `death`."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol, TypeVar

from nightcrawler_crds import errors
from nightcrawler_crds.election.death import (
    Case,
    Container,
    Holder,
    Process,
    Stat,
    sees,
    termination_line,
    why_dead,
)
from nightcrawler_crds.kube.nativeviews import LeasePodView
from nightcrawler_crds.names import PODS, Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

PROC: Final = Path("/proc")
TERMINATION_LOG: Final = Path("/dev/termination-log")
"""Kubernetes' default of a container's `terminationMessagePath`."""


class PodStore(Protocol):
    """The part of `nightcrawler_crds.kube.store.Store` that is used here."""

    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        """See `Store.get`."""
        ...


def own_identity(pod: str = "") -> str:
    """A unique name for this process, which begins with the Pod's or the host's name for people."""
    return f"{pod or socket.gethostname()}_{uuid.uuid4().hex[:12]}"


def own_holder(container: Container | None = None, *, proc: Path = PROC) -> Holder:
    """This process, as written into a Lease that it holds."""
    identity = own_identity(container.pod if container else "")
    return Holder(identity, own_process(proc), container, version("nightcrawler"))


def own_process(proc: Path = PROC) -> Process | None:
    """What identifies this process among all others; None where the system does not show that."""
    try:
        if os.readlink(proc / "self") != str(os.getpid()):
            return None  # /proc of another PID namespace, where our PIDs mean other processes
        stat = stat_of(os.getpid(), proc)
        if stat is None:
            return None
        return Process(
            host=socket.gethostname(),
            boot=(proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
            pid_namespace=(proc / "self/ns/pid").stat().st_ino,
            time_namespace=_inode_if_there(proc / "self/ns/time"),
            pid=os.getpid(),
            start_time=stat.start_time,
        )
    except (OSError, ValueError):
        return None


def write_identity(own: Holder, path: Path = TERMINATION_LOG) -> None:
    """Write this process into its container's termination message, which the kubelet reports after its end.

    Appended, since a second process of the container would otherwise replace the first one's. If the file
    does not exist or is not writable, a standby waits for the Lease to expire.
    """
    if own.container is None or not path.exists():
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{termination_line(own.identity)}\n")
    except OSError as error:
        log.warning("%s cannot be written, so a standby will wait until our Lease expires: %s", path, error)


class Witness:
    """Finds out whether the holder of the Lease is dead."""

    def __init__(self, store: PodStore, own: Holder, *, proc: Path = PROC) -> None:
        self.own = own
        self._store = store
        self._proc = proc
        self._last_warning = ""

    async def why_dead(self, holder: Holder) -> str:
        """Why the holder is known to be dead, as the end of a sentence; empty if it is not known."""
        free, stat = self._look_at(holder)
        case = Case(self.own, holder, free, stat)
        # First without a request: the API server may be slow.
        return why_dead(case) or why_dead(replace(case, pod=await self._pod_of(holder)))

    def _look_at(self, holder: Holder) -> tuple[bool | None, Stat | None]:
        if holder.process is None or not sees(self.own, holder):
            return None, None
        pid = holder.process.pid
        if _is_free(pid):
            return True, None
        return False, stat_of(pid, self._proc)

    async def _pod_of(self, holder: Holder) -> LeasePodView | None:
        container = holder.container
        if container is None:
            return None
        try:
            pod = await self._store.get(PODS, container.namespace, container.pod, LeasePodView)
        except errors.NotFound:
            return None
        except errors.ApiError as error:
            # Once, not at every retry, unless the problem changes.
            level = logging.DEBUG if str(error) == self._last_warning else logging.WARNING
            where = f"{container.namespace}/{container.pod}"
            log.log(
                level,
                "the leader's Pod %s cannot be read to see whether it ended: %s",
                where,
                error,
            )
            self._last_warning = str(error)
            return None
        self._last_warning = ""
        return pod


def stat_of(pid: int, proc: Path = PROC) -> Stat | None:
    """The content of `/proc/PID/stat`; None if unreadable, which does not mean that there is no process."""
    try:
        return read_stat((proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, IndexError):
        return None


def read_stat(text: str) -> Stat:
    """Parse a line of proc(5)'s `/proc/PID/stat`; its second field is a name that may contain anything."""
    fields = text[text.rindex(")") + 1 :].split()
    return Stat(state=fields[0], threads=int(fields[17]), start_time=int(fields[19]))


def _is_free(pid: int) -> bool:
    """Whether no process has that PID, from the kernel: `/proc` may hide other users' (hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _inode_if_there(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
