"""On what was measured: without it, figures say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import psutil

from nightcrawler_crds import clock

ADDITIONS: Final = 5_000_000


def stamp() -> dict[str, Any]:
    """The machine, the commit, the moment, and how busy the machine is with other things now."""
    return {
        "date": clock.to_wire(clock.utcnow()),
        "commit": commit(),
        "cores": os.cpu_count(),
        "cpu": cpu_model(Path("/proc/cpuinfo")),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "additions_s": additions_seconds(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def additions_seconds() -> float:
    """How long Python takes for `ADDITIONS`, at best of three: machines of one name differ twofold in it."""
    return round(min(_seconds_of_additions() for _ in range(3)), 2)


def _seconds_of_additions() -> float:
    began, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return time.perf_counter() - began


def commit() -> str:
    """The commit that is checked out, with a plus if files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def cpu_model(cpuinfo: Path) -> str:
    """The processor's name, as the kernel has it."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
