"""Starts, watches and ends the programs of one cluster, and records them in its state."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import namespaces, ports, processes
from .errors import ClusterError
from .state import Process, State

_POLL = 0.05


class PortTakenError(ClusterError):
    """Another program took a port between the choice and its use."""


class Supervisor:
    """The programs of the cluster whose state it is given."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.folder = Path(state.folder)

    def log(self, name: str) -> Path:
        """The log of a program."""
        return self.folder / "logs" / f"{name}.log"

    def start(self, name: str, argv: Sequence[str], *, mounts: bool = False) -> None:
        """Start a program, in the cluster's network namespace if it has one.

        Args:
            name: Under which it is known.
            argv: Its full path and its arguments.
            mounts: Whether it also sees the mounts of the cluster's node.
        """
        inside = namespaces.network(self.state.network).enter(mounts=mounts) if self.state.network else []
        self._spawn(name, [*inside, *argv])

    def start_again(self, name: str) -> None:
        """Start a program that has ended exactly as it was started before."""
        if not self.is_alive(name):
            self._spawn(name, self._known(name).argv)

    def is_alive(self, name: str) -> bool:
        """Whether this program runs."""
        return name in self.state.processes and processes.is_alive(self.state.processes[name].started)

    def pid(self, name: str) -> int:
        """The process id of a program."""
        return self._known(name).pid

    def end(self, name: str, *, kill: bool = False, patience: float = 10.0) -> None:
        """End one program: by SIGTERM within `patience` seconds, or at once by SIGKILL."""
        first = signal.SIGKILL if kill else signal.SIGTERM
        processes.stop([self._known(name).started], patience, first)

    def wait(self, ready: Callable[[], bool], what: str, timeout: float, needs: Sequence[str] = ()) -> None:
        """Wait for a condition while the programs that it needs live.

        Args:
            ready: The condition; cheap to ask.
            what: The condition in words, for the message: "the API server answers".
            timeout: Seconds until it is given up.
            needs: Programs without which it cannot come true.

        Raises:
            ClusterError: If one of them ended, or the time is up.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            for name in needs:
                if not self.is_alive(name):
                    self._report_death(name)
            if time.monotonic() > deadline:
                logs = "\n".join(f"{self.log(name)}:\n{processes.tail(self.log(name))}" for name in needs)
                raise ClusterError(
                    f"Waited {timeout:.0f} s in vain until {what}. Is the machine very busy? "
                    f"The last words were:\n{logs}"
                )
            time.sleep(_POLL)

    def _report_death(self, name: str) -> None:
        last = processes.tail(self.log(name))
        if ports.TAKEN in last:
            raise PortTakenError(f"A port of {name} is taken by another program:\n{last}")
        raise ClusterError(
            f"{name} ended just after its start; its last words, from {self.log(name)}:\n{last}\n"
            "If they name no cause that you can remove, run `make cluster-down` and try again."
        )

    def _spawn(self, name: str, argv: list[str]) -> None:
        started = processes.spawn(argv, log=self.log(name), cluster=self.folder)
        self.state.processes[name] = Process(argv, started.pid, started.ticks)
        self.state.save()

    def _known(self, name: str) -> Process:
        if name not in self.state.processes:
            known = ", ".join(self.state.processes) or "none"
            raise ClusterError(f"The cluster in {self.folder} has no program {name!r}; it has: {known}.")
        return self.state.processes[name]
