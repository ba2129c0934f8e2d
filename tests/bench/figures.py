"""Figures from samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(samples: Iterable[float], share: float) -> float:
    """The smallest sample that `share` of all samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to a tenth."""
    return round(seconds * 1000, 1)


@dataclass(frozen=True, slots=True)
class Spread:
    """What several measurements of one figure say."""

    median: float
    least: float
    most: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Median and range of measurements, of which there must be one at least."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def steady_rate(ends: Iterable[float], in_flight: int) -> float:
    """Completions a minute while as many as wanted were in flight, from the moments of all completions.

    Of `n` runs the last is submitted when the first `n - in_flight` have ended; what ends later is the tail
    and does not count. Of those before, the first third is the ramp: the first runs were all submitted at
    once, and their steps still march in step. The rate is that of the other two thirds.
    """
    ordered = sorted(ends)
    last = len(ordered) - in_flight
    first = last // 3
    if first < 1 or last - first < 2:
        return math.nan
    seconds = ordered[last - 1] - ordered[first - 1]
    return (last - first) * 60 / seconds if seconds > 0 else math.nan


def points(samples: Sequence[float], most: int = 100) -> list[tuple[float, float]]:
    """The distribution of samples as a curve: share (0 to 1) and value, of at most so many points."""
    ordered = sorted(samples)
    count = min(most, len(ordered))
    ranks = [math.ceil((n + 1) * len(ordered) / count) for n in range(count)]
    return [(round(rank / len(ordered), 4), ordered[rank - 1]) for rank in ranks]
