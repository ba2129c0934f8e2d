"""The working half of the operator: the queue's workers, and what each kind of key asks for.

Workers run all the time; keys come into the queue only while this process leads, and the
queue is emptied when it stops to. So whoever leads next starts from its caches, and timers
need not be handed over: they follow from what is recorded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from nightcrawler_crds import errors
from nightcrawler_crds.clock import utcnow
from nightcrawler_operator.logs import about
from nightcrawler_operator.outcomes import DecideAgain, Done, NotLeading, Outcome, Waiting
from nightcrawler_operator.reconcilers.execution import ExecutionReconciler
from nightcrawler_operator.reconcilers.leftovers import LeftoverReconciler
from nightcrawler_operator.reconcilers.workflow import WorkflowReconciler
from nightcrawler_operator.workqueue import QueueClosed, WorkQueue
from nightcrawler_operator.world import ExecutionKey, LeftoverKey, WorkflowKey, WorkKey, World

log = logging.getLogger(__name__)

_COALESCE: Final = 1.0
"""A workflow's status may be so late: what its executions do within that time shares a write."""


class Watcher(Protocol):
    """Who counts what the workers do."""

    def reconciled(self, kind: str, seconds: float, error: str | None) -> None:
        """One reconcile of a kind of key has ended; `error` names what went wrong, if anything did."""
        ...


class Controller:
    """Takes keys from the queue and brings each as far as it can go."""

    def __init__(
        self,
        world: World,
        queue: WorkQueue[WorkKey],
        *,
        executions: ExecutionReconciler,
        workflows: WorkflowReconciler,
        leftovers: LeftoverReconciler,
        watcher: Watcher,
        leads: Callable[[], bool],
    ) -> None:
        self._world = world
        self._queue = queue
        self._executions = executions
        self._workflows = workflows
        self._leftovers = leftovers
        self._watcher = watcher
        self._leads = leads

    def wake_all(self) -> None:
        """Look at everything: this process leads from now on, or a resync is due.

        Runs of which a Pod has ended come first: of thousands, most go on as they did.
        """
        for execution in sorted(self._world.executions, key=self._world.has_news, reverse=True):
            self._queue.add(ExecutionKey(*execution.metadata.key))
        for workflow in self._world.workflows:
            self._queue.add(WorkflowKey(*workflow.metadata.key))
        for key in self._world.leftovers():
            self._queue.add(key)

    def wake(self, key: WorkKey) -> None:
        """Look at one thing, because something about it has changed."""
        if not self._leads():
            return
        if isinstance(key, WorkflowKey):
            self._queue.add_after(key, _COALESCE)
        else:
            self._queue.add(key)

    async def work(self) -> None:
        """One worker: works until the queue is closed."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            try:
                await self._one(key)
            finally:
                self._queue.done(key)

    async def _one(self, key: WorkKey) -> None:
        if not self._leads():
            return  # another leader's now; who leads again looks at everything
        began = time.monotonic()
        error: str | None = None
        with about(namespace=key.namespace, execution="" if isinstance(key, WorkflowKey) else key.name):
            try:
                self._settle(key, await self._reconcile(key))
            except DecideAgain:
                self._queue.add(key)
            except NotLeading:
                error = "NotLeading"
                if self._leads():
                    self._queue.retry(key)
                else:
                    log.info("no longer leading: left as it is")
            except errors.ApiError as failure:
                error = type(failure).__name__
                later = self._queue.retry(key, at_least=failure.retry_after or 0.0)
                log.warning("%s; again in %.1f s", failure.message, later)
            except Exception as failure:
                error = type(failure).__name__
                later = self._queue.retry(key)
                log.exception("a bug: please report it; again in %.1f s", later)
        self._watcher.reconciled(type(key).__name__.removesuffix("Key"), time.monotonic() - began, error)

    async def _reconcile(self, key: WorkKey) -> Outcome:
        match key:
            case ExecutionKey():
                return await self._executions.reconcile(key)
            case WorkflowKey():
                return await self._workflows.reconcile(key)
            case LeftoverKey():
                return await self._leftovers.reconcile(key)

    def _settle(self, key: WorkKey, outcome: Outcome) -> None:
        match outcome:
            case Done():
                self._queue.forget(key)
                if not isinstance(key, WorkflowKey):  # whose wakes come with a delay, maybe just now
                    self._queue.drop_deadline(key)
            case Waiting(until):
                self._queue.forget(key)
                self._queue.add_after(key, max(0.0, (until - utcnow()) / timedelta(seconds=1)))
