"""What processes took: CPU-seconds between two moments, and memory at the second.

Memory is the proportional set size (PSS), in which a page that several processes share counts for its
share in each, so that sums are true. Children count with their parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psutil

from tests.bench.measured import Usage

_MEGABYTE = 1e6


class Meter:
    """Begins to count when it is made; `processes` may get others under the same names meanwhile."""

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self._processes = processes
        self._before = {name: (process, cpu_seconds(process)) for name, process in processes.items()}

    def read(self) -> dict[str, Usage]:
        """What each process that lives now has taken since; one that was started since, since its start."""
        return {
            name: Usage(round(self._cpu(name, process), 3), round(pss_mb(process), 1))
            for name, process in self._processes.items()
            if process.is_running()
        }

    def _cpu(self, name: str, process: psutil.Process) -> float:
        known, before = self._before.get(name, (process, 0.0))
        return cpu_seconds(process) - (before if known == process else 0.0)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and its living children since their start, in user and kernel mode."""
    return sum(float(t.user + t.system) for t in (p.cpu_times() for p in _family(process)))


def pss_mb(process: psutil.Process) -> float:
    """The proportional set size of a process and its children now, in MB (10⁶ bytes)."""
    return float(sum(p.memory_full_info().pss for p in _family(process))) / _MEGABYTE


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    yield process
    yield from process.children(recursive=True)
