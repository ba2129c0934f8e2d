"""Programs of the bench's own: started with a log, ended with the cluster they belong to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from localcluster import LocalCluster, processes

_PATIENCE = 20.0


class Program:
    """A running program; it ends with its cluster, even if the bench is killed."""

    def __init__(
        self, cluster: LocalCluster, argv: Sequence[str], log: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        # Settings of the shell from which the bench is started must not change what is measured.
        foreign = ("NIGHTCRAWLER_", "KUBE", "ARGO_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        environment = {**inherited, **(settings or {}), processes.MARK: str(cluster.folder)}
        self.log = log
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.process = psutil.Process(self._popen.pid)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        self._popen.terminate()
        try:
            self._popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it in the middle of whatever it does (SIGKILL)."""
        self._popen.kill()
        self._popen.wait()

    def last_words(self, lines: int = 25) -> str:
        """The end of its log."""
        return processes.tail(self.log, lines)
