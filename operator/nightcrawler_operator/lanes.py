"""The lanes of work: a queue each, with workers of its own.

What schedules start goes in a lane of its own, with fewer workers: when thousands of runs are due in the same
minute, a run that a person starts does not stand behind them. And while the operator has something to do for
people's runs, one key of that lane is processed at a time, since both take the same API server. One always
may be, so that schedules go on however many runs people start.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from nightcrawler_operator.keys import ExecutionKey, WorkKey
from nightcrawler_operator.workqueue import WorkQueue

_BESIDE_PEOPLE: Final = 1
"""So many keys of the schedules' lane are processed at a time while people's runs wait for the operator."""


class Lane(Enum):
    """Which workers a key waits for."""

    PEOPLE = "people"
    SCHEDULE = "schedule"


def may_start_scheduled(in_process: int, of_people: int) -> bool:
    """Whether another key of the schedules' lane may be processed.

    Args:
        in_process: How many of that lane are being processed.
        of_people: How many runs of people wait for a worker or are being processed.
    """
    return of_people == 0 or in_process < _BESIDE_PEOPLE


class Lanes:
    """A queue for each lane; every key belongs to one of them."""

    def __init__(self, lane_of: Callable[[WorkKey], Lane]) -> None:
        self._lane_of = lane_of
        people = WorkQueue[WorkKey](counts=_is_run, on_none_outstanding=self._no_run_of_people_waits)
        scheduled = WorkQueue[WorkKey](
            may_start=lambda in_process: may_start_scheduled(in_process, people.outstanding)
        )
        self.queues: dict[Lane, WorkQueue[WorkKey]] = {Lane.PEOPLE: people, Lane.SCHEDULE: scheduled}

    def __len__(self) -> int:
        """The number of keys ready for a worker."""
        return sum(map(len, self.queues.values()))

    def __getitem__(self, lane: Lane) -> WorkQueue[WorkKey]:
        """The queue of a lane."""
        return self.queues[lane]

    @property
    def added(self) -> int:
        """How many keys were ever added."""
        return sum(queue.added for queue in self.queues.values())

    @property
    def retried(self) -> int:
        """How many retries were ever requested."""
        return sum(queue.retried for queue in self.queues.values())

    @property
    def in_process(self) -> int:
        """The number of keys being processed."""
        return sum(queue.in_process for queue in self.queues.values())

    @property
    def delayed(self) -> int:
        """The number of delayed keys."""
        return sum(queue.delayed for queue in self.queues.values())

    @property
    def oldest_age(self) -> float:
        """How long the oldest key has waited."""
        return max(queue.oldest_age for queue in self.queues.values())

    def of(self, key: WorkKey) -> WorkQueue[WorkKey]:
        """The queue of a key."""
        return self.queues[self._lane_of(key)]

    def wanted_since(self, key: WorkKey) -> float | None:
        """When a key being processed was added; None if no worker has it."""
        return self.of(key).wanted_since(key)

    def add(self, key: WorkKey) -> None:
        """Queue a key for the next free worker of its lane."""
        self.of(key).add(key)

    def add_after(self, key: WorkKey, seconds: float) -> None:
        """Queue a key in so many seconds; an earlier moment that it already has stands."""
        self.of(key).add_after(key, seconds)

    def clear(self) -> None:
        """Drop all keys but those being processed: another replica leads."""
        for queue in self.queues.values():
            queue.clear()

    def close(self) -> None:
        """Drop all keys, accept no more, and stop the workers."""
        for queue in self.queues.values():
            queue.close()

    def _no_run_of_people_waits(self) -> None:
        self.queues[Lane.SCHEDULE].ask_again()


def _is_run(key: WorkKey) -> bool:
    """Whether it is a run: nobody waits for the rest, such as finished Jobs to be deleted."""
    return isinstance(key, ExecutionKey)
