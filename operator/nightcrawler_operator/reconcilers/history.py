"""How much of a workflow's past is kept: its ended executions, and the revisions that they used."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, RevisionView, WorkflowView
from nightcrawler_operator.cluster.observe import live_revision
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.history import (
    Count,
    EndedRun,
    KeptRuns,
    is_due,
    is_worth_it,
    sorted_out,
    unneeded_revisions,
)
from nightcrawler_operator.limits import Limits

log = logging.getLogger(__name__)

_REMEMBERED: Final = 10_000
_ON_SHELF: Final = {
    KeptRuns.COMPLETED: "status.phase=Completed",
    KeptRuns.OTHERS: names.PHASE_SELECTOR_ENDED + ",status.phase!=Completed",
}


@dataclass(slots=True)
class _Ledger:
    """What is known of one workflow's past.

    `loose` are the revisions of runs that were deleted and that no other of the same shelf had used;
    `compared` says that all revisions have been held against all runs once, so that from then on only loose
    ones can be unneeded.
    """

    counts: dict[KeptRuns, Count] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    compared: bool = False


class History:
    """Deletes what is beyond a workflow's history, and what only that had needed.

    However long the history is, a run that ends costs the same: a long one is listed now and then.
    """

    def __init__(self, store: Store, cluster: ClusterState, limits: Limits) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._ledgers: OrderedDict[Key, _Ledger] = OrderedDict()
        self._to_prune: set[Key] = set()

    def run_ended(self, where: Key, execution: ExecutionView) -> None:
        """Note a run that has just ended; the workflow's next `prune` counts it."""
        self._to_prune.add(where)
        ledger, shelf = self._ledgers.get(where), KeptRuns.of(execution.status.phase)
        count = ledger.counts.get(shelf) if ledger is not None and shelf is not None else None
        if count is not None:
            count.since += 1

    def forget(self, where: Key) -> None:
        """The workflow is gone, and its runs go with it."""
        self._to_prune.discard(where)
        self._ledgers.pop(where, None)

    def doubt(self) -> None:
        """Count everything anew: runs may have ended while another process led."""
        self._ledgers.clear()

    async def prune(self, workflow: WorkflowView) -> None:
        """Delete what is beyond the history, if a run has ended since, and it is time to look."""
        where = workflow.metadata.key
        if where not in self._to_prune:
            return
        # Taken off before: a run that ends meanwhile puts it on again.
        self._to_prune.discard(where)
        ledger = self._ledgers.setdefault(where, _Ledger())
        self._ledgers.move_to_end(where)
        if len(self._ledgers) > _REMEMBERED:
            self._ledgers.popitem(last=False)
        try:
            await self._prune(workflow, ledger)
        except errors.ApiError:
            self._to_prune.add(where)
            self._ledgers.pop(where, None)
            raise

    async def _prune(self, workflow: WorkflowView, ledger: _Ledger) -> None:
        live = self._in_use(workflow)
        kept = {
            shelf: await self._prune_shelf(workflow, ledger, shelf)
            for shelf in KeptRuns
            if is_due(ledger.counts.get(shelf), self._keep(workflow, shelf))
        }
        loose = ledger.loose - self._in_use(workflow)
        unlisted = [shelf for shelf in KeptRuns if shelf not in kept]
        cost = sum(count.listed + count.since for s in unlisted if (count := ledger.counts.get(s)))
        if ledger.compared and not (loose and is_worth_it(len(loose), cost)):
            return
        for shelf in unlisted:
            kept[shelf] = await self._prune_shelf(workflow, ledger, shelf)
        named = {run.status.revision for runs in kept.values() for run in runs if run.status.revision}
        # Those in use before, too: such a run may have ended after its shelf was listed.
        await self._prune_revisions(workflow, named | live)
        ledger.loose &= self._in_use(workflow)
        ledger.compared = True

    def _keep(self, workflow: WorkflowView, shelf: KeptRuns) -> int:
        limits = self._limits
        default = limits.history_completed if shelf is KeptRuns.COMPLETED else limits.history_failed
        keep: int = (workflow.spec.get("history") or {}).get(shelf.value, default)
        return keep

    async def _prune_shelf(self, workflow: WorkflowView, ledger: _Ledger, shelf: KeptRuns) -> list[EndedRun]:
        """Delete the runs beyond what is kept of one kind; the others are returned."""
        count = ledger.counts.setdefault(shelf, Count(0))
        # Before the list: who ends meanwhile may be missing in it.
        count.since = 0
        runs = await self._store.list_all(
            names.EXECUTIONS,
            workflow.metadata.namespace,
            EndedRun,
            label_selector=f"{names.LABEL_WORKFLOW}={workflow.metadata.name}",
            field_selector=_ON_SHELF[shelf],
            on_unreadable=_pass_over,
        )
        kept, old = sorted_out(runs, shelf, self._keep(workflow, shelf), workflow.metadata.uid)
        count.listed = len(kept)
        used = {run.status.revision for run in kept}
        ledger.loose |= {run.status.revision for run in old if run.status.revision} - used
        for run in old:
            await self._delete(
                names.EXECUTIONS, workflow.metadata.namespace, run.metadata.name, run.metadata.uid
            )
        return kept

    async def _prune_revisions(self, workflow: WorkflowView, named: set[str]) -> None:
        if self._cluster.unreadable[names.EXECUTIONS]:
            return  # one of them may need what no other does
        namespace, name = workflow.metadata.key
        selector = f"{names.LABEL_WORKFLOW}={name}"
        revisions = await self._store.list_all(
            names.REVISIONS, namespace, RevisionView, label_selector=selector, on_unreadable=_pass_over
        )
        needed = named | self._in_use(workflow)
        for revision in unneeded_revisions(revisions, needed, workflow.metadata.uid):
            meta = revision.metadata
            self._cluster.revisions.pop((namespace, meta.name), None)
            await self._delete(names.REVISIONS, namespace, meta.name, meta.uid)

    def _in_use(self, workflow: WorkflowView) -> set[str]:
        """The revisions that live runs use, and the one that the next run will."""
        namespace, name = workflow.metadata.key
        live = [
            execution
            for run in self._cluster.executions_of.get((namespace, name), ())
            if (execution := self._cluster.executions.get((namespace, run))) is not None
        ]
        used = {e.status.revision for e in live if e.status.revision}
        # A run that has Jobs and no record yet names its revision only there.
        jobs = (j for e in live for j in self._cluster.jobs_of.get(e.metadata.uid, {}).values())
        used |= {job.metadata.annotations.revision for job in jobs}
        current = live_revision(self._cluster, workflow)
        return used | {current.name} if current else used

    async def _delete(self, resource: names.Resource, namespace: str, name: str, uid: str) -> None:
        try:
            await self._store.delete(resource, namespace, name, propagation="Background", uid=uid)
        except (errors.NotFound, errors.Conflict):
            log.debug("%s %s is gone already", resource.kind, name)


def _pass_over(error: errors.Unreadable) -> None:
    """What cannot be read is not removed, and keeps nothing else from being so."""
    log.warning("kept, whatever the history's limits: %s", error.message)
