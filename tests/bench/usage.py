"""What processes took: CPU-seconds between two moments, and memory at the second.

Memory is the proportional set size (PSS), in which a page that several processes share counts for its
share in each, so that sums are true. Children count with their parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import psutil

from tests.bench.measured import Usage

_MEGABYTE = 1e6


class Meter:
    """Begins to count when it is made; `processes` may get others under the same names meanwhile."""

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self._processes = processes
        self._before = {name: (process, cpu_seconds(family)) for name, process, family in families(processes)}

    def read(self) -> dict[str, Usage]:
        """What each process that lives now has taken since; one that was started since, since its start."""
        return {
            name: Usage(round(self._cpu(name, process, family), 3), round(pss_mb(family), 1))
            for name, process, family in families(self._processes)
        }

    def _cpu(self, name: str, process: psutil.Process, family: list[psutil.Process]) -> float:
        known, before = self._before.get(name, (process, 0.0))
        return cpu_seconds(family) - (before if known == process else 0.0)


def families(
    processes: Mapping[str, psutil.Process],
) -> Iterator[tuple[str, psutil.Process, list[psutil.Process]]]:
    """Each process that lives, by name, with its children but for those that have a name themselves.

    For the bench is the parent of all the others.
    """
    named = set(processes.values())
    for name, process in processes.items():
        if process.is_running():
            yield name, process, [process, *_children(process, named)]


def cpu_seconds(family: Iterable[psutil.Process]) -> float:
    """CPU time of processes since their start, in user and kernel mode."""
    return sum(float(t.user + t.system) for t in (p.cpu_times() for p in family))


def pss_mb(family: Iterable[psutil.Process]) -> float:
    """The proportional set size of processes now, in MB (10⁶ bytes)."""
    return float(sum(p.memory_full_info().pss for p in family)) / _MEGABYTE


def _children(process: psutil.Process, named: set[psutil.Process]) -> Iterator[psutil.Process]:
    for child in process.children():
        if child not in named:
            yield child
            yield from _children(child, named)
