"""Ends a cluster when the process that uses it dies, however it dies.

It reads a pipe whose other end only that process holds: when the end comes,
of the pipe and so of the process, it tears the cluster down. It is a process
in a session of its own, so that a signal to the user's group misses it.
Called as `python -m localcluster.watchdog FOLDER`.
"""

import os
import sys
from pathlib import Path

from . import processes
from .teardown import teardown


def start(folder: Path) -> int:
    """Start the watchdog of the cluster in `folder`.

    Returns:
        A descriptor; the cluster is torn down when it is closed.
    """
    reader, writer = os.pipe()
    try:
        processes.spawn(
            [sys.executable, "-m", "localcluster.watchdog", str(folder)],
            log=folder / "logs" / "watchdog.log",
            cluster=folder,
            # Without the cluster's variable: it must not end itself.
            environment={processes.MARK: "", "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=reader,
        )
    finally:
        os.close(reader)
    return writer


def main() -> None:
    """Wait for the end of standard input, then tear down."""
    folder = Path(sys.argv[1])
    while os.read(0, 1024):
        pass
    if folder.exists():
        teardown(folder)


if __name__ == "__main__":
    main()
