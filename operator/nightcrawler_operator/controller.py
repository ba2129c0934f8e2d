"""The queues' workers, and the registry: kind of key -> reconciler.

Workers always run; keys are queued only while this process leads, and the queues are emptied when it
stops leading. The next leader starts from its caches, and timers need not be handed over: they follow
from status.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from nightcrawler_crds import errors
from nightcrawler_crds.clock import utcnow
from nightcrawler_operator.keys import EffectKey, WorkKey
from nightcrawler_operator.logs import about
from nightcrawler_operator.plan import DecideAgain, Done, NotLeading, Outcome, Waiting
from nightcrawler_operator.workqueue import QueueClosed, WorkQueue

log = logging.getLogger(__name__)

K = TypeVar("K", bound=WorkKey | EffectKey)
K_contra = TypeVar("K_contra", bound=WorkKey | EffectKey, contravariant=True)


class Metrics(Protocol):
    """Counts reconciles."""

    def reconciled(self, kind: str, seconds: float, error: str | None) -> None:
        """One reconcile of a kind of key has ended; `error` is the name of its error, if any."""
        ...


class Reconciler(Protocol[K_contra]):
    """Reconciles one kind of key: observe, decide, act."""

    wake_delay: float
    """Seconds by which a change is delayed, so that several share one reconcile; 0 means at once."""

    def all_keys(self) -> Iterable[Any]:
        """Every key, most urgent first: a new leader reconciles them all."""
        ...

    async def reconcile(self, key: K_contra) -> Outcome:
        """Reconcile one key; returns when to requeue it. Raises ApiError, DecideAgain, NotLeading."""
        ...


class Queue(Protocol[K_contra]):
    """Where keys wait: one queue, or one of several."""

    def add(self, key: K_contra) -> None:
        """Queue a key for the next free worker."""
        ...

    def add_after(self, key: K_contra, seconds: float) -> None:
        """Queue a key in so many seconds."""
        ...


class Controller(Generic[K]):
    """Takes keys from the queue and calls the reconciler of each one's kind.

    `queue` may be several, as `Lanes` are; each worker serves one of them.
    """

    def __init__(
        self,
        queue: Queue[K],
        reconcilers: Mapping[type[K], Reconciler[Any]],
        *,
        metrics: Metrics,
        leads: Callable[[], bool],
    ) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._metrics = metrics
        self._leads = leads

    def wake_all(self) -> None:
        """Queue everything: this process has become the leader, or a resync is due."""
        for reconciler in self._reconcilers.values():
            for key in reconciler.all_keys():
                self._queue.add(key)

    def wake(self, key: K) -> None:
        """Queue one key, because something about it has changed."""
        if self._leads():
            self._queue.add_after(key, self._reconcilers[type(key)].wake_delay)

    async def work(self, queue: WorkQueue[K]) -> None:
        """One worker of a queue: reconciles until that is closed."""
        while True:
            try:
                key = await queue.get()
            except QueueClosed:
                return
            try:
                await self._one(key, queue)
            finally:
                queue.done(key)

    async def _one(self, key: K, queue: WorkQueue[K]) -> None:
        if not self._leads():
            return  # another replica leads; a new leader reconciles everything
        began = time.monotonic()
        error: str | None = None
        reconciler = self._reconcilers[type(key)]
        with about(**key.subject):
            try:
                self._requeue(key, queue, await reconciler.reconcile(key), reconciler.wake_delay)
            except DecideAgain:
                queue.add(key)
            except NotLeading:
                error = "NotLeading"
                if self._leads():
                    queue.retry(key)
                else:
                    log.info("no longer leading: not reconciled")
            except errors.ApiError as failure:
                error = type(failure).__name__
                later = queue.retry(key, at_least=failure.retry_after or 0.0)
                log.warning("%s; retrying in %.1f s", failure.message, later)
            except Exception as failure:
                error = type(failure).__name__
                later = queue.retry(key)
                log.exception("a bug: please report it; retrying in %.1f s", later)
        self._metrics.reconciled(type(key).__name__.removesuffix("Key"), time.monotonic() - began, error)

    def _requeue(self, key: K, queue: WorkQueue[K], outcome: Outcome, wake_delay: float) -> None:
        match outcome:
            case Done():
                queue.forget(key)
                if not wake_delay:  # otherwise a delayed change may be queued just now
                    queue.drop_deadline(key)
            case Waiting(until):
                queue.forget(key)
                queue.add_after(key, max(0.0, (until - utcnow()) / timedelta(seconds=1)))
