"""Jobs whose execution is not live: kept for a while, then deleted; those still running are stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_operator.children import delete_all, remove_finalizers, report_job_ends
from nightcrawler_operator.cluster.missing_children import find_children
from nightcrawler_operator.cluster.observe import attempts_of
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.duties import needs_jobs
from nightcrawler_operator.decisions.jobs import ended_jobs, freed_pods
from nightcrawler_operator.decisions.leftovers import Keep, Remove, StopLive, leftovers
from nightcrawler_operator.decisions.ownership import is_owned_by
from nightcrawler_operator.keys import LeftoverKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, OldObject, Outcome, Waiting
from nightcrawler_operator.snapshot import Attempt, Unwatched

log = logging.getLogger(__name__)

Attempts = dict[tuple[str, int], Attempt]

_REMOVAL: Final = timedelta(seconds=10)
"""Deleted Jobs vanish one by one; for so long, those still cached are not deleted again."""


class LeftoverReconciler:
    """Reads the execution from the API server before it deletes anything.

    `on_found` is called with one that another process has ended.
    """

    wake_delay = 0.0

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        limits: Limits,
        *,
        on_found: Callable[[ExecutionView], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._on_found = on_found
        self._phases: dict[LeftoverKey, str] = {}
        self._removed: dict[LeftoverKey, datetime] = {}

    def all_keys(self) -> Iterator[LeftoverKey]:
        """Every execution that has Jobs, or a claim, and is not live."""
        return self._cluster.children.leftovers()

    def run_ended(self, execution: ExecutionView) -> None:
        """Note a run whose end we wrote ourselves, so that it need not be read."""
        meta = execution.metadata
        key = LeftoverKey(*meta.key, meta.uid)
        if self._cluster.children.has_leftovers(key):
            self._phases[key] = execution.status.phase

    async def reconcile(self, key: LeftoverKey) -> Outcome:
        """Keep, stop or delete the Jobs of an execution that has ended, and with them its volume."""
        if not self._cluster.children.has_leftovers(key):
            self._phases.pop(key, None)
            self._removed.pop(key, None)
            return Done()
        if key not in self._phases:
            execution = await self._get_execution(key)
            if execution is None:
                return Done()  # the garbage collector deletes what a deleted execution owned
            if not execution.status.has_ended:
                # It is live; the cache was stale. Adding it queues it.
                self._cluster.executions.upsert(execution)
                return Done()
            self._cluster.owing.record_ended(execution)
            self._on_found(execution)
            self._phases[key] = execution.status.phase
        attempts = attempts_of(self._cluster, key.uid, key.namespace)
        verdict = self._decide(key, attempts)
        if isinstance(verdict, StopLive):
            attempts = await self._recheck(key, attempts, verdict)
            verdict = self._decide(key, attempts)
        await report_job_ends(self._store, self._cluster, key.namespace, ended_jobs(attempts.values()))
        await remove_finalizers(self._store, self._cluster, key.namespace, freed_pods(attempts, None))
        match verdict:
            case Keep(until):
                return Waiting(until)
            case Remove():
                if self._are_needed(key):
                    return Done()  # queued again when the execution is settled
                return await self._remove(key)
            case StopLive(live):
                log.warning(
                    "Jobs of an execution that has ended are still running; deleting %s",
                    ", ".join(job.name for job in live),
                )
                await delete_all(self._store, names.JOBS, key.namespace, live)
        return Done()

    def _decide(self, key: LeftoverKey, attempts: Attempts) -> Keep | Remove | StopLive:
        failed, limits = self._phases[key] == "Failed", self._limits
        keep = limits.failed_job_cleanup_after if failed else limits.job_cleanup_after
        return leftovers(attempts.values(), now=utcnow(), keep=keep)

    def _are_needed(self, key: LeftoverKey) -> bool:
        owing = self._cluster.owing.get((key.namespace, key.name), key.uid)
        return owing is not None and needs_jobs(owing.status)

    async def _recheck(self, key: LeftoverKey, attempts: Attempts, verdict: StopLive) -> Attempts:
        """Read the attempts that seem to be running: a Pod that no watch reports may have ended."""
        live = {job.uid for job in verdict.jobs}
        unwatched: dict[tuple[str, int], Unwatched] = {}
        for which, attempt in attempts.items():
            if attempt.job is None or attempt.job.metadata.uid not in live:
                continue
            name = attempt.job.metadata.name
            job, pods = await find_children(self._store, self._cluster, key.namespace, name)
            known = attempt.job.metadata
            if job is None or job.metadata.uid != known.uid:
                self._cluster.jobs.cache.forget(known.key, known.uid, known.version)
                continue
            self._cluster.jobs.cache.upsert(job)
            unwatched[which] = Unwatched(utcnow(), pods=pods)
        return attempts_of(self._cluster, key.uid, key.namespace, unwatched)

    async def _remove(self, key: LeftoverKey) -> Outcome:
        deleted_at = self._removed.get(key)
        if deleted_at is None or utcnow() >= deleted_at + _REMOVAL:
            # First: without Jobs nothing would recall it after a crash. It goes when no Pod uses it.
            await self._delete_claim(key)
            await self._delete_jobs(key)
            deleted_at = self._removed[key] = utcnow()
        return Waiting(deleted_at + _REMOVAL)

    async def _delete_claim(self, key: LeftoverKey) -> None:
        claim = self._cluster.children.volume_claim_of(key)
        if claim is not None:
            old = OldObject(claim.metadata.name, claim.metadata.uid)
            await delete_all(self._store, names.VOLUME_CLAIMS, key.namespace, [old])

    async def _delete_jobs(self, key: LeftoverKey) -> None:
        """Delete the Jobs that the execution owns, in one request if its label selects no others.

        The request names the resourceVersion of the cache: Jobs labelled since then are not touched, and
        those labelled before are known to be owned. Otherwise each is deleted by its UID.
        """
        labelled = self._cluster.children.labelled_jobs(key.uid, key.namespace)
        owned = [job.metadata for job in labelled if is_owned_by(job.metadata, key.uid)]
        if not owned:
            return
        version = self._cluster.jobs.version
        if len(owned) == len(labelled) and version:
            selector = f"{names.LABEL_EXECUTION_UID}={key.uid}"
            try:
                await self._store.delete_collection(
                    names.JOBS, key.namespace, label_selector=selector, version=version
                )
                return
            except errors.Gone:
                log.debug("resourceVersion %s has expired; deleting Jobs one by one", version)
        olds = [OldObject(meta.name, meta.uid) for meta in owned]
        await delete_all(self._store, names.JOBS, key.namespace, olds)

    async def _get_execution(self, key: LeftoverKey) -> ExecutionView | None:
        try:
            found = await self._store.get(names.EXECUTIONS, key.namespace, key.name, ExecutionView)
        except errors.NotFound:
            return None
        return found if found.metadata.uid == key.uid else None
