"""How long a run waits where there is no room: until others have ended, or a node has been added. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nightcrawler_crds.v1alpha1 import EnvironmentSpec

NEW_NODE: Final = 300.0
"""Seconds after which a new node is usually there where an autoscaler adds some."""


def until_room(
    left: Sequence[float], ahead: int, duration: float, spec: EnvironmentSpec, unknown: float
) -> float:
    """Seconds until as many runs have ended as wait before this one, and one more.

    `left` is how long the runs there will take yet; others that take `duration` follow them. If none of ours
    is there, others use the nodes, and nobody knows for how long: `unknown`. Where it is written that an
    autoscaler adds nodes, none is waited for much longer than that takes.
    """
    queue = nth_end(left, ahead, duration) if left else unknown
    return min(queue, NEW_NODE) if spec.nodes == "Autoscaled" else queue


def nth_end(left: Sequence[float], before: int, duration: float) -> float:
    """Seconds until so many runs have ended and one more; others that take `duration` follow them."""
    rounds, position = divmod(before, len(left))
    return sorted(left)[position] + rounds * duration
