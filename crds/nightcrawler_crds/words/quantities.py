"""Quantities as Kubernetes writes them in the status of nodes and in Pods: "63900m", "512Gi", "8"."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_QUANTITY: Final = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?")
_SIZES: Final = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)},
}


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> float:
    """A quantity as a number of cores, bytes or devices; 0 if it is none. Remembered: nodes repeat them."""
    return read_quantity(text)


def read_quantity(text: str) -> float:
    """The same for quantities that hardly repeat, such as measured ones."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return 0.0
    number, exponent, unit = found.groups()
    try:
        return float(number + (exponent or "")) * _SIZES.get(unit or "", 1.0)
    except ValueError:
        return 0.0
