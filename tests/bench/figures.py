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


def rate(began: float, ends: Iterable[float]) -> float:
    """Completions a minute, from the first submission to the last completion; moments in seconds.

    How it begins and how it ends count too, so that runs which march in step cannot seem quicker than they
    are: in any part of such a crowd's time either all of them complete or none.
    """
    ordered = sorted(ends)
    seconds = ordered[-1] - began if ordered else 0.0
    return len(ordered) * 60 / seconds if seconds > 0 else math.nan


def distribution(seconds: Sequence[float], most: int = 60) -> list[tuple[float, float]]:
    """The distribution of waits, as a curve of at most so many points: milliseconds and percent."""
    ordered = sorted(seconds)
    count = min(most, len(ordered))
    ranks = [math.ceil((n + 1) * len(ordered) / count) for n in range(count)]
    # A wait below the resolution of the clock still needs a place on a logarithmic axis.
    return [
        (max(0.1, milliseconds(ordered[rank - 1])), round(100 * rank / len(ordered), 2)) for rank in ranks
    ]
