"""Waiting until processes have come to rest, so that what they hold then is what they keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.site import Site
from tests.bench.usage import cpu_seconds, families, pss_mb

_EVERY: Final = 0.4
_LOOKS: Final = 5
_PSS_MB: Final = 0.5
_BUSY: Final = 0.08
"""Of a core: renewing a Lease and answering a probe take less, work that is left takes more."""


@dataclass(frozen=True, slots=True)
class Look:
    """One process at a moment: its clock, the CPU time since its start, its PSS in MB."""

    at: float
    cpu: float
    pss_mb: float


def is_quiet(looks: Sequence[Look]) -> bool:
    """Whether a process hardly worked, and kept its size, over the last few looks."""
    last = looks[-_LOOKS:]
    if len(last) < _LOOKS:
        return False
    sizes = [look.pss_mb for look in last]
    busy = (last[-1].cpu - last[0].cpu) / (last[-1].at - last[0].at)
    return max(sizes) - min(sizes) <= _PSS_MB and busy <= _BUSY


async def quiet_pss(here: Site, names: Sequence[str], patience: float = 120.0) -> Mapping[str, float]:
    """The PSS of processes in MB, by name, once all of them are quiet.

    Raises:
        TimeoutError: They are not in time; says how they were.
    """
    looks: dict[str, list[Look]] = {name: [] for name in names}
    deadline = time.monotonic() + patience
    while True:
        for name, _, family in families({name: here.processes[name] for name in names}):
            looks[name].append(Look(time.monotonic(), cpu_seconds(family), pss_mb(family)))
        if all(is_quiet(of) for of in looks.values()):
            return {name: round(of[-1].pss_mb, 2) for name, of in looks.items()}
        if time.monotonic() > deadline:
            lately = {name: of[-_LOOKS:] for name, of in looks.items()}
            raise TimeoutError(f"not quiet within {patience:g} s: {lately}")
        await asyncio.sleep(_EVERY)
