"""Running the system's own programs."""

import os
import shutil
import subprocess
from pathlib import Path

from .errors import ClusterError
from .processes import MARK, SYSTEM_PATH


def program(name: str) -> str:
    """The full path of a system program; its name if it is not there."""
    return shutil.which(name, path=SYSTEM_PATH) or name


def run(*command: str, check: bool = True, cluster: Path | None = None, advice: str = "") -> str:
    """Run a system program; what it prints.

    Args:
        command: The program's name and its arguments.
        check: Whether a failure raises.
        cluster: The folder of the cluster for which it is run, so that it is
            ended with the cluster should it outlive the caller.
        advice: What to do if it fails.

    Raises:
        ClusterError: If it fails and `check` is set; with its words.
    """
    mark = {MARK: str(cluster)} if cluster is not None else {}
    try:
        ended = subprocess.run(
            [program(command[0]), *command[1:]],
            env={**os.environ, "PATH": SYSTEM_PATH, **mark},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ClusterError(f"`{command[0]}` is not installed; install it or run with --no-node.") from None
    if check and ended.returncode != 0:
        raise ClusterError(
            f"`{' '.join(command)}` failed: {(ended.stderr or ended.stdout).strip()} {advice}".strip()
        )
    return ended.stdout
