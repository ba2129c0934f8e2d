"""The work loop of a simulated replica: a queue of keys, and timers by the model's clock.

What is delivered, worked on and interrupted when is decided by the test. A replica that is killed starts
again with nothing but what the server has.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import Final
from unittest import mock

from nightcrawler_crds import errors
from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.phases import has_ended
from nightcrawler_operator.keys import WorkKey
from nightcrawler_operator.plan import DecideAgain, Waiting
from nightcrawler_operator.snapshot import Snapshot
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import KilledError

_LATER: Final = timedelta(seconds=5)


class NoMetrics:
    """Metrics that are not recorded."""

    def made_job(self, snapshot: Snapshot, new: NewJob) -> None:
        """Not counted."""

    def recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        """Not counted."""

    def conflicted(self) -> None:
        """Not counted."""

    def sent_event(self) -> None:
        """Not counted."""

    def dropped_event(self, why: str) -> None:
        """Not counted."""

    def gave_up(self, undone: Sequence[str], reason: str) -> None:
        """Not counted."""

    def delivered(self, channel: str, outcome: str) -> None:
        """Not counted."""

    def exported_trace(self, outcome: str) -> None:
        """Not counted."""

    def scheduled(self, outcome: str, reason: str, late: float) -> None:
        """Not counted."""


def is_live(run: Json) -> bool:
    """Whether the watch of live executions selects a run."""
    return not has_ended(run.get("status", {}).get("phase"))


def owes(run: Json) -> bool:
    """Whether the watch of executions that owe something selects a run."""
    return run.get("status", {}).get("settled") is False


class WorkLoop(ABC):
    """One process: `start` fills its caches, `work` reconciles one key."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.deaths = 0
        self.dirty: dict[WorkKey, None] = {}
        self.timers: dict[WorkKey, datetime] = {}
        self.start()

    @abstractmethod
    def start(self) -> None:
        """Begin with what the server has, and queue all of it."""

    @abstractmethod
    async def _reconcile(self, key: WorkKey) -> object:
        """Reconcile one key; a `Waiting` if it has to be done again at some time."""

    @abstractmethod
    def _wake(self, key: WorkKey) -> None:
        """Queue a key, if this replica simulates its reconciler."""

    async def work(self) -> bool:
        """Work on the key that has waited longest; False if there is none. After a death it starts again."""
        for key in [key for key, due in self.timers.items() if due <= self._server.now]:
            self._wake(key)
            del self.timers[key]
        if not self.dirty:
            return False
        key = next(iter(self.dirty))
        del self.dirty[key]
        try:
            outcome = await self._reconcile(key)
        except KilledError:
            self._die()
            return True
        except errors.Unreadable:
            self.timers[key] = self._server.now + _LATER
            return True
        except (DecideAgain, errors.ApiError):
            self._wake(key)
            return True
        if isinstance(outcome, Waiting):
            self.timers[key] = min(outcome.until, self.timers.get(key, outcome.until))
        return True

    def _die(self) -> None:
        self.deaths += 1
        self.start()


@contextlib.contextmanager
def model_time(
    now: Callable[[], datetime], *, utcnow: Sequence[ModuleType], monotonic: Sequence[ModuleType]
) -> Iterator[asyncio.Runner]:
    """Let modules of the operator ask the model for the time; gives a runner for their coroutines."""

    class Monotonic:
        @staticmethod
        def monotonic() -> float:
            return now().timestamp()

    with contextlib.ExitStack() as stack:
        for module in utcnow:
            stack.enter_context(mock.patch.object(module, "utcnow", now))
        for module in monotonic:
            stack.enter_context(mock.patch.object(module, "time", Monotonic))
        yield stack.enter_context(asyncio.Runner())
