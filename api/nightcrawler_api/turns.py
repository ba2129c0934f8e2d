"""When a run that waits in line will have its turn; pure.

The operator records that a run waits and for what. Its place in the line changes with every run that ends, so
it is worked out when somebody asks, with the operator's own rules: who holds places, who gets those that
become free, and how long the runs usually take.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nightcrawler_crds.allocation import LimitOf, Queue, Rank, Subject, Subjects, allocate, queue_of

_MOST_ENDS: Final = 2_000
"""The most runs whose end is assumed; what comes after them is not estimated."""


@dataclass(frozen=True, slots=True)
class Live:
    """A run that has not ended: how many seconds it takes from now on, or from its start if it waits."""

    uid: str
    rank: Rank
    subjects: Subjects
    seconds: float
    in_line: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What a run in line waits for, if it is under a limit; and in how many seconds it starts, if known."""

    queue: Queue | None
    seconds: float | None

    @property
    def place(self) -> int:
        """Its place in line, 1 for the next."""
        return 1 + (self.queue.ahead if self.queue else 0)


def turn_of(uid: str, runs: Iterable[Live], limit_of: LimitOf) -> Turn | None:
    """The turn of a run; None if it does not wait in line."""
    held: Counter[Subject] = Counter()
    ends: list[tuple[float, Subjects]] = []
    lines: dict[Subjects, list[Live]] = {}
    own: Live | None = None
    for run in runs:
        if run.in_line:
            insort(lines.setdefault(run.subjects, []), run, key=_rank)
            own = run if run.uid == uid else own
        else:
            held.update(run.subjects)
            ends.append((run.seconds, run.subjects))
    if own is None:
        return None
    queue = queue_of(own.subjects, own.rank, lines, held, limit_of)
    return Turn(queue, _seconds(own, lines, held, ends, limit_of))


def _seconds(
    own: Live,
    lines: dict[Subjects, list[Live]],
    held: Counter[Subject],
    ends: list[tuple[float, Subjects]],
    limit_of: LimitOf,
) -> float | None:
    """Let runs end one after the other, and give their places away, until it is this one's turn."""
    heapq.heapify(ends)
    now = 0.0
    for _ in range(_MOST_ENDS):
        for run in allocate(lines, held, limit_of).granted:
            if run is own:
                return now
            del lines[run.subjects][0]
            held.update(run.subjects)
            heapq.heappush(ends, (now + run.seconds, run.subjects))
        if not ends:
            return None
        now, subjects = heapq.heappop(ends)
        held.subtract(subjects)
    return None


def _rank(run: Live) -> Rank:
    return run.rank
