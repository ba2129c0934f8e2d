"""Jobs whose execution is not among the live ones: kept for a while, then removed; live ones stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import TERMINAL_PHASES
from nightcrawler_operator.children import free_pods, tell_ends
from nightcrawler_operator.decisions.endings import ended_jobs, freed_pods
from nightcrawler_operator.decisions.leftovers import Keep, Remove, StopLive, leftovers
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.observe import attempts_of
from nightcrawler_operator.outcomes import Done, Outcome, Waiting
from nightcrawler_operator.world import LeftoverKey, World

log = logging.getLogger(__name__)

_REMOVAL: Final = timedelta(seconds=10)
"""Removed Jobs go one by one; so long, those still to be seen are no reason to ask again."""


class LeftoverReconciler:
    """Asks the API server what became of the execution before it touches anything."""

    wake_delay = 0.0

    def __init__(self, store: Store, world: World, limits: Limits) -> None:
        self._store = store
        self._world = world
        self._limits = limits
        self._terminal: set[LeftoverKey] = set()
        self._removed: dict[LeftoverKey, datetime] = {}

    def all_keys(self) -> Iterator[LeftoverKey]:
        """Every execution that has Jobs and is not among the live ones."""
        return self._world.leftovers()

    def run_ended(self, execution: ExecutionView) -> None:
        """Note a run whose end we wrote ourselves, and need not ask for."""
        meta = execution.metadata
        if self._world.has_jobs(meta.uid, meta.namespace):
            self._terminal.add(LeftoverKey(*meta.key, meta.uid))

    async def reconcile(self, key: LeftoverKey) -> Outcome:
        """Keep, stop or remove the Jobs of an execution that is not live; returns when to look again."""
        if not self._world.has_jobs(key.uid, key.namespace):
            self._terminal.discard(key)
            self._removed.pop(key, None)
            return Done()
        gone = False
        if key not in self._terminal:
            execution = await self._ask(key)
            gone = execution is None
            if execution is not None and execution.status.phase not in TERMINAL_PHASES:
                # It lives; the cache was behind. It is woken by being put in.
                self._world.executions.upsert(execution)
                return Done()
            if not gone:
                self._terminal.add(key)
        attempts = attempts_of(self._world, key.uid, key.namespace)
        if not gone:
            await tell_ends(self._store, self._world, key.namespace, ended_jobs(attempts.values()))
            await free_pods(self._store, self._world, key.namespace, freed_pods(attempts, None))
        verdict = leftovers(
            attempts.values(),
            gone=gone,
            now=utcnow(),
            keep=self._limits.job_cleanup_after,
        )
        match verdict:
            case Keep(until):
                return Waiting(until)
            case Remove():
                return await self._remove(key)
            case StopLive(live):
                log.warning(
                    "Jobs of an execution that has ended are still live; deleting %s", ", ".join(live)
                )
                for name in live:
                    await self._stop(key, name)
        return Done()

    async def _remove(self, key: LeftoverKey) -> Outcome:
        asked = self._removed.get(key)
        if asked is None or utcnow() >= asked + _REMOVAL:
            selector = f"{names.LABEL_EXECUTION_UID}={key.uid}"
            await self._store.delete_collection(names.JOBS, key.namespace, label_selector=selector)
            asked = self._removed[key] = utcnow()
        return Waiting(asked + _REMOVAL)

    async def _ask(self, key: LeftoverKey) -> ExecutionView | None:
        try:
            found = await self._store.get(names.EXECUTIONS, key.namespace, key.name, ExecutionView)
        except errors.NotFound:
            return None
        return found if found.metadata.uid == key.uid else None

    async def _stop(self, key: LeftoverKey, name: str) -> None:
        try:
            await self._store.delete(names.JOBS, key.namespace, name, propagation="Background")
        except errors.NotFound:
            log.debug("Job %s is gone already", name)
