"""Processes on this host that keep running after the demo.

A file records the process id of each with its start time, so that a second run finds its own processes
and never touches another process with the same id.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import web
from demo.terminal import DemoError, last_lines, say
from localcluster import ports, processes
from localcluster.processes import Started

_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Installed:
    """Operator and facade, however they were started.

    Attributes:
        address: The facade's, from this host.
        metrics: Where people find the metrics of both.
        logs: Where people find the logs of both.
    """

    address: str
    metrics: str
    logs: str


@dataclass(frozen=True)
class Service:
    """A process to keep running.

    Attributes:
        name: Its name in the output, and of its files.
        folder: Where its log and its record are.
        port: The port for HTTP that it gets if that is free.
        port_variable: The setting by which people choose another; the process is given it too.
    """

    name: str
    folder: Path
    port: int
    port_variable: str

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / f"{self.name}.log"

    @property
    def record(self) -> Path:
        """The file that records its process."""
        return self.folder / f"{self.name}.json"


def start(service: Service, command: Sequence[str], settings: Mapping[str, str]) -> str:
    """Start a service, replacing one from an earlier run; return its address once `/readyz` answers there.

    Args:
        service: What to start.
        command: Its program, by its full path, and the arguments.
        settings: Environment variables in addition to our own.

    Raises:
        DemoError: It ended, or was not ready in time.
    """
    stop(service)
    port = _port(service)
    service.folder.mkdir(parents=True, exist_ok=True)
    service.log.unlink(missing_ok=True)
    process = processes.spawn(
        command,
        log=service.log,
        cluster=service.folder,
        # Not the cluster's variable: the cluster ends its own processes only.
        environment={**os.environ, **settings, service.port_variable: str(port), processes.MARK: ""},
    )
    service.record.write_text(json.dumps({"pid": process.pid, "ticks": process.ticks}))
    address = f"http://127.0.0.1:{port}"
    _wait_until_ready(service, process, address)
    log = os.path.relpath(service.log)
    say(f"{service.name} is ready: process {process.pid}, {address}, log in {log}")
    return address


def stop(service: Service) -> bool:
    """Stop a service, with some seconds to shut down; return whether it was running."""
    try:
        process = Started(**json.loads(service.record.read_text()))
    except FileNotFoundError:
        return False
    except (ValueError, TypeError):
        raise DemoError(
            f"{service.record} cannot be read. Stop the {service.name}, if it runs, then delete that file."
        ) from None
    ran = processes.is_alive(process)
    processes.stop([process], _STOP_SECONDS)
    service.record.unlink()
    return ran


def _port(service: Service) -> int:
    """The port that the environment sets, else the usual one, or any free one if that is taken.

    Raises:
        DemoError: What the environment sets is not a port.
    """
    asked = os.environ.get(service.port_variable) or str(service.port)
    if not asked.isdecimal() or int(asked) > 65535:
        raise DemoError(f"{service.port_variable} is {asked!r}, which is not a port. Correct or unset it.")
    if int(asked) != service.port:
        return int(asked) or ports.pick(["any"])["any"]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind(("127.0.0.1", service.port))
        except OSError:
            port = ports.pick(["any"])["any"]
            say(f"port {service.port} is taken, so the {service.name} uses {port};")
            say(f"to choose another, set {service.port_variable}")
            return port
    return service.port


def _wait_until_ready(service: Service, process: Started, address: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not web.answers(f"{address}/readyz"):
        if not processes.is_alive(process):
            raise DemoError(f"The {service.name} ended instead of becoming ready.", service.log)
        if time.monotonic() > deadline:
            raise DemoError(f"The {service.name} was not ready within {_READY_SECONDS:.0f} s.", service.log)
        time.sleep(0.1)


def explain(error: Exception) -> str:
    """The message of an error and, if it has a log, the last lines of that."""
    log = error.log if isinstance(error, DemoError) else None
    if log is None:
        return str(error)
    return f"{error}\n  The last lines of {os.path.relpath(log)}:\n{last_lines(log)}"
