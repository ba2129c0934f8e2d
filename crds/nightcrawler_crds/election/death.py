"""Whether the process that holds the Lease is known to be dead, so that its expiry need not be awaited.

The holder writes into the Lease what identifies its process (`Holder`). Three observations prove its death;
in all other cases the Lease has to expire:

1. It ran in our own PID namespace of this very boot of this host, and its process is gone: nothing has
   its PID, or what has it was started at another moment, or is a zombie. A process that is stopped
   (SIGSTOP) or hangs is still there, and lives.
2. It ran in our own container of our own Pod, but in another PID namespace, or before the host was booted:
   the kubelet starts a container of a Pod only once the one before it has ended (also when the runtime
   has lost track of that: then it kills it first).
3. The kubelet reports that its container has terminated, and shows as the container's termination message
   the identity that this process left there. The message is a file of one instance of the container, and is
   read once that has ended; so it cannot be mistaken for the end of the instance before.

What proves nothing: a Pod that is gone, or is being deleted, by force or not (its node may not even know of
it); a node that is not ready; the phase Failed, which the garbage collector and the eviction of a lost
node's Pods set as well; a terminated state without the message, such as the kubelet makes up for a
container that it no longer finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from nightcrawler_crds.kube.nativeviews import LeasePodView, LeaseView

_MOST_PIDS: Final = 1 << 22
_DEAD_STATES: Final = frozenset("ZXx")


class Process(msgspec.Struct, rename="camel", frozen=True):
    """A process, and the view of the system in which its PID means it.

    Attributes:
        host: The name of the host; in a Pod it is the Pod's. Virtual machines that were cloned while they ran
            have the same boot.
        boot: `/proc/sys/kernel/random/boot_id`.
        pid_namespace: The inode of `/proc/self/ns/pid`. It may come back once a namespace is gone, with other
            processes in it.
        time_namespace: The inode of `/proc/self/ns/time`, in which start times count; 0 on old kernels.
        pid: Its PID in that namespace.
        start_time: When it was started, in clock ticks since the boot (`/proc/PID/stat`, field 22).
    """

    host: str
    boot: str
    pid_namespace: int
    time_namespace: int
    pid: Annotated[int, msgspec.Meta(ge=1, le=_MOST_PIDS)]
    start_time: int

    @property
    def where(self) -> tuple[str, str, int, int]:
        """Processes that agree on this see each other, by the same PIDs and start times."""
        return (self.host, self.boot, self.pid_namespace, self.time_namespace)


class Container(msgspec.Struct, rename="camel", frozen=True):
    """The container of a Pod in which a process runs."""

    namespace: str
    pod: str
    pod_uid: str
    name: str


class Holder(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """A process that may hold the Lease. What it cannot find out about itself is None, and proves nothing.

    `version` is Nightcrawler's, for people.
    """

    identity: str
    process: Process | None = None
    container: Container | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """From `/proc/PID/stat`: the state of a process (one letter), its threads, when it was started."""

    state: str
    threads: int
    start_time: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a holder, and by which process.

    Attributes:
        own: The process that asks.
        holder: The one that it asks about.
        pid_is_free: Whether no process of our PID namespace has the holder's PID; None if nobody looked.
        stat: Of the process that has it, if that could be read.
        pod: The Pod of the holder's name, if there is one and it could be read.
    """

    own: Holder
    holder: Holder
    pid_is_free: bool | None = None
    stat: Stat | None = None
    pod: LeasePodView | None = None


def written_by(lease: LeaseView) -> Holder | None:
    """What the Lease's holder has written there about itself; None if it has not, or another process has."""
    try:
        holder = msgspec.json.decode(lease.metadata.annotations.holder or "null", type=Holder | None)
    except (msgspec.DecodeError, RecursionError):
        return None
    # A holder of an older version leaves the annotation of the one before it.
    return holder if holder is not None and holder.identity == lease.spec.holder_identity else None


def sees(own: Holder, holder: Holder) -> bool:
    """Whether our `/proc` would show the holder's process.

    Two Pods never share a PID namespace but the host's, yet virtual machines made from one template may have
    the same boot and the same inodes.
    """
    if own.process is None or holder.process is None or own.process.where != holder.process.where:
        return False
    return _pod_uid(own) == _pod_uid(holder)


def why_dead(case: Case) -> str:
    """Why a holder is known to be dead, as the end of a sentence; empty if it is not known."""
    if sees(case.own, case.holder) and _lives(case):
        return ""
    return next((why for proof in _PROOFS if (why := proof(case))), "")


def termination_line(identity: str) -> str:
    """The line of the termination message by which the end of a container is that of this process."""
    return f"leader election identity: {identity}"


def _process_is_gone(case: Case) -> str:
    process = case.holder.process
    if process is None or not sees(case.own, case.holder):
        return ""
    if not case.pid_is_free and (case.stat is None or _lives(case)):
        return ""  # something has its PID, and may be it
    return f"its process {process.pid} on this host is gone"


def _container_was_restarted(case: Case) -> str:
    own, holder = case.own, case.holder
    if own.container is None or own.container != holder.container:
        return ""
    if own.process is None or holder.process is None or _namespace(own.process) == _namespace(holder.process):
        return ""  # maybe a second process of this very container
    return "it ran in this container before that was restarted"


def _kubelet_saw_its_end(case: Case) -> str:
    container, pod = case.holder.container, case.pod
    if container is None or pod is None or pod.metadata.uid != container.pod_uid:
        return ""
    line = termination_line(case.holder.identity)
    for one in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        ends = [state.terminated for state in (one.state, one.last_state) if state.terminated is not None]
        if one.name == container.name and any(line in end.message.splitlines() for end in ends):
            return f"the kubelet reports that its container {one.name} in Pod {container.pod} has terminated"
    return ""


_PROOFS: Final[tuple[Callable[[Case], str], ...]] = (
    _process_is_gone,
    _container_was_restarted,
    _kubelet_saw_its_end,
)


def _lives(case: Case) -> bool:
    """Whether the holder's process, or one of its threads, is the one that we see under its PID."""
    process, stat = case.holder.process, case.stat
    if process is None or stat is None or stat.start_time != process.start_time:
        return False
    # Others of its threads may run on for a moment after the first one has become a zombie.
    return stat.state not in _DEAD_STATES or stat.threads > 1


def _namespace(process: Process) -> tuple[str, int]:
    return (process.boot, process.pid_namespace)


def _pod_uid(holder: Holder) -> str:
    return holder.container.pod_uid if holder.container is not None else ""
