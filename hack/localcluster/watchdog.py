"""Ends a cluster when the process that uses it dies, however it dies.

It reads a pipe whose other end only that process holds: when the end comes,
of the pipe and so of the process, it tears the cluster down. It is a process
in a session of its own, so that a signal to the user's group misses it.
Called as `python -m localcluster.watchdog FOLDER`.
"""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .teardown import teardown

_PATIENCE = 5.0


@dataclass(frozen=True)
class Watchdog:
    """A running watchdog.

    Attributes:
        pipe: The descriptor whose end it waits for.
        process: The watchdog itself.
    """

    pipe: int
    process: processes.Started

    def dismiss(self) -> None:
        """End it without a teardown, and wait until it is gone.

        Only then may the folder have another cluster: a watchdog that merely
        saw its pipe end would tear that one down.
        """
        processes.stop([self.process], patience=_PATIENCE, first=signal.SIGKILL)
        os.close(self.pipe)


def start(folder: Path) -> Watchdog:
    """Start the watchdog of the cluster in `folder`."""
    reader, writer = os.pipe()
    try:
        process = processes.spawn(
            [sys.executable, "-m", "localcluster.watchdog", str(folder)],
            log=folder / "logs" / "watchdog.log",
            cluster=folder,
            # Without the cluster's variable: it must not end itself.
            environment={processes.MARK: "", "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=reader,
        )
    finally:
        os.close(reader)
    return Watchdog(writer, process)


def main() -> None:
    """Wait for the end of standard input, then tear down."""
    folder = Path(sys.argv[1])
    while os.read(0, 1024):
        pass
    if folder.exists():
        teardown(folder)


if __name__ == "__main__":
    main()
