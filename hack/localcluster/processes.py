"""The cluster's processes: start, find again, end.

A process is remembered by its id and the moment it started, so that an id
that the system has given to another process meanwhile is never touched. Each
also carries its cluster's folder in its environment, which its children
inherit: this finds what a starter that died had not yet written down.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "NIGHTCRAWLER_CLUSTER_FOLDER"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLL = 0.02
_MODE = 0o644
_LAST_USUAL = 2


@dataclass(frozen=True)
class Started:
    """One process.

    Attributes:
        pid: Its id.
        ticks: When it started, in clock ticks since the machine's start.
    """

    pid: int
    ticks: int


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    cluster: Path,
    environment: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> Started:
    """Start a program in a session of its own, so that a Ctrl-C does not reach it.

    Its environment is made afresh: a proxy or a Go setting of the caller's
    must not change how the cluster behaves. Nor does it keep open what the
    caller has been given, a lock or a pipe, for it may well outlive that.

    Args:
        argv: The program's full path and its arguments.
        log: Where its output is appended.
        cluster: The folder of the cluster that it belongs to.
        environment: Variables besides PATH, HOME and the mark; a mark of "" is left out.
        stdin: A descriptor to be its standard input; without one it reads nothing.
    """
    variables = {"PATH": SYSTEM_PATH, "HOME": str(Path.home()), MARK: str(cluster), **(environment or {})}
    source: tuple[object, ...] = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    if stdin is not None:
        source = (os.POSIX_SPAWN_DUP2, stdin, 0)
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        {name: value for name, value in variables.items() if value},
        file_actions=[
            source,
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inherited()),
        ],
        setsid=True,
    )
    return Started(pid, _start_ticks(pid) or 0)


def is_alive(process: Started) -> bool:
    """Whether this very process still runs."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)  # Collect it, if it is a child of ours that has ended.
    return _start_ticks(process.pid) == process.ticks


def stop(processes: Iterable[Started], patience: float, first: int = signal.SIGTERM) -> None:
    """End processes: ask with the signal `first`, and kill those that are left after `patience` seconds."""
    left = [process for process in processes if is_alive(process)]
    _send(left, first)
    deadline = time.monotonic() + patience
    while left := [process for process in left if is_alive(process)]:
        if time.monotonic() > deadline:
            _send(left, signal.SIGKILL)
            deadline += 5
        time.sleep(_POLL)


def belonging_to(cluster: Path) -> list[Started]:
    """Every process with the variable of the cluster in this folder."""
    mark = f"{MARK}={cluster}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # It has ended, or is another user's.
        ticks = _start_ticks(int(folder.name))
        if mark in variables and ticks is not None:
            found.append(Started(int(folder.name), ticks))
    return found


def myself() -> Started:
    """The process that is running this."""
    return Started(os.getpid(), _start_ticks(os.getpid()) or 0)


def memory(pid: int) -> int:
    """Bytes of a process's resident memory; 0 if it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGESIZE")


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, indented for a message."""
    if not log.exists():
        return "  (it wrote no log)"
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def _inherited() -> list[int]:
    """The descriptors that a program we start would have too, besides the usual three."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        descriptor = int(path.name)
        with contextlib.suppress(OSError):  # The one that the folder is read by is closed by now.
            if descriptor > _LAST_USUAL and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


def _send(processes: Iterable[Started], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _start_ticks(pid: int) -> int | None:
    """Field 22 of proc(5)'s stat; None for a process that is gone or only waits to be collected."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # The name before may hold spaces and brackets.
    return None if fields[0] in "ZX" else int(fields[19])
