"""What the steps that run have used so far: a running tally for each of their Pods."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.podmetrics import Sample
from nightcrawler_operator.snapshot import Figure, Measured

_LONGEST_GAP: Final = 60.0
"""Seconds for which a value stands; after a longer gap it counts for its own window only."""


class _Tally:
    """A time-weighted average and the highest value."""

    __slots__ = ("_at", "_highest", "_seconds", "_sum")

    def __init__(self) -> None:
        self._sum = self._seconds = self._highest = 0.0
        self._at: datetime | None = None

    def add(self, value: float, at: datetime, window: float) -> None:
        """Count a value that was measured over the `window` seconds before `at`; one time counts once."""
        since = None if self._at is None else (at - self._at).total_seconds()
        if since is not None and since <= 0:
            return
        seconds = window if since is None or since > _LONGEST_GAP else since
        self._at = at
        self._sum += value * seconds
        self._seconds += seconds
        self._highest = max(self._highest, value)

    @property
    def figure(self) -> Figure | None:
        """The average and the peak; None if nothing was measured."""
        return Figure(self._sum / self._seconds, self._highest) if self._seconds > 0 else None


class _PodTally:
    """What one Pod used."""

    __slots__ = ("cpu", "gpu", "memory")

    def __init__(self) -> None:
        self.cpu = _Tally()
        self.memory = _Tally()
        self.gpu: _Tally | None = None


class Usage:
    """What was measured, by namespace and name of the Pod."""

    def __init__(self) -> None:
        self._pods: dict[Key, _PodTally] = {}

    def __len__(self) -> int:
        """How many Pods something is known of."""
        return len(self._pods)

    def add(self, pod: Key, sample: Sample) -> None:
        """Count a sample of CPU and memory."""
        tally = self._of(pod)
        tally.cpu.add(sample.cpu, sample.at, sample.window)
        tally.memory.add(sample.memory, sample.at, sample.window)

    def add_gpu(self, pod: Key, percent: float, at: datetime, window: float) -> None:
        """Count how busy a Pod's GPUs are."""
        tally = self._of(pod)
        if tally.gpu is None:
            tally.gpu = _Tally()
        tally.gpu.add(percent, at, window)

    def of(self, pod: Key) -> Measured | None:
        """What a Pod has used so far; None if nothing was measured."""
        tally = self._pods.get(pod)
        if tally is None:
            return None
        return Measured(tally.cpu.figure, tally.memory.figure, tally.gpu.figure if tally.gpu else None)

    def keep_only(self, pods: Collection[Key]) -> None:
        """Forget all other Pods."""
        for pod in self._pods.keys() - set(pods):
            del self._pods[pod]

    def _of(self, pod: Key) -> _PodTally:
        tally = self._pods.get(pod)
        if tally is None:
            tally = self._pods[pod] = _PodTally()
        return tally
