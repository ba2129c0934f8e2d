"""Prunes a workflow's history: its ended executions, and the revisions that they used."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from nightcrawler_crds import errors, names, phases
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
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
_SELECTORS: Final = {
    KeptRuns.COMPLETED: "status.phase=Completed",
    KeptRuns.OTHERS: phases.ENDED_SELECTOR + ",status.phase!=Completed",
}


@dataclass(slots=True)
class _WorkflowHistory:
    """What is known of one workflow's history.

    `unreferenced` are the revisions of deleted runs that no other run of the same kind of history used;
    `revisions_checked` is set once all revisions were compared with all runs: from then on only
    `unreferenced` ones can be unneeded.
    """

    counts: dict[KeptRuns, Count] = field(default_factory=dict)
    unreferenced: set[str] = field(default_factory=set)
    revisions_checked: bool = False


class History:
    """Deletes runs beyond a workflow's history limits, and the revisions that only they used.

    A run that ends costs the same however long the history is: a long one is listed only now and then.
    """

    def __init__(self, store: Store, cluster: ClusterState, limits: Limits) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._histories: OrderedDict[Key, _WorkflowHistory] = OrderedDict()
        self._to_prune: set[Key] = set()

    def run_ended(self, where: Key, execution: ExecutionView) -> None:
        """Note a run that has ended; the workflow's next `prune` counts it."""
        self._note(where, execution.status.phase)

    def run_settled(self, where: Key, phase: str) -> None:
        """Note a run that may be deleted only now, because it owes nothing any more."""
        self._note(where, phase)

    def forget(self, where: Key) -> None:
        """Forget a deleted workflow; its runs are garbage collected."""
        self._to_prune.discard(where)
        self._histories.pop(where, None)

    def invalidate(self) -> None:
        """Count everything again: runs may have ended while another replica led."""
        self._histories.clear()

    async def prune(self, workflow: WorkflowView) -> None:
        """Delete what is beyond the history limits, if a run has ended since and a list is due."""
        where = workflow.metadata.key
        if where not in self._to_prune:
            return
        # Removed first: a run that ends meanwhile adds it again.
        self._to_prune.discard(where)
        history = self._histories.setdefault(where, _WorkflowHistory())
        self._histories.move_to_end(where)
        if len(self._histories) > _REMEMBERED:
            self._histories.popitem(last=False)
        try:
            await self._prune(workflow, history)
        except errors.ApiError:
            self._to_prune.add(where)
            self._histories.pop(where, None)
            raise

    def _note(self, where: Key, phase: str) -> None:
        self._to_prune.add(where)
        history, kind = self._histories.get(where), KeptRuns.of(phase)
        count = history.counts.get(kind) if history is not None and kind is not None else None
        if count is not None:
            count.since += 1

    async def _prune(self, workflow: WorkflowView, history: _WorkflowHistory) -> None:
        live = self._in_use(workflow)
        kept = {
            kind: await self._prune_kind(workflow, history, kind)
            for kind in KeptRuns
            if is_due(history.counts.get(kind), self._keep(workflow, kind))
        }
        unreferenced = history.unreferenced - self._in_use(workflow)
        unlisted = [kind for kind in KeptRuns if kind not in kept]
        cost = sum(count.listed + count.since for s in unlisted if (count := history.counts.get(s)))
        if history.revisions_checked and not (unreferenced and is_worth_it(len(unreferenced), cost)):
            return
        for kind in unlisted:
            kept[kind] = await self._prune_kind(workflow, history, kind)
        named = {run.status.revision for runs in kept.values() for run in runs if run.status.revision}
        # Those in use before, too: such a run may have ended after its kind of history was listed.
        await self._prune_revisions(workflow, named | live)
        history.unreferenced &= self._in_use(workflow)
        history.revisions_checked = True

    def _keep(self, workflow: WorkflowView, kind: KeptRuns) -> int:
        limits = self._limits
        default = limits.history_completed if kind is KeptRuns.COMPLETED else limits.history_failed
        keep: int = (workflow.spec.get("history") or {}).get(kind.value, default)
        return keep

    async def _prune_kind(
        self, workflow: WorkflowView, history: _WorkflowHistory, kind: KeptRuns
    ) -> list[EndedRun]:
        """Delete the runs beyond the limit of one kind of history; returns the others."""
        count = history.counts.setdefault(kind, Count(0))
        # Before the list: a run that ends meanwhile may be missing in it.
        count.since = 0
        runs = await self._store.list_all(
            names.EXECUTIONS,
            workflow.metadata.namespace,
            EndedRun,
            label_selector=f"{names.LABEL_WORKFLOW}={workflow.metadata.name}",
            field_selector=_SELECTORS[kind],
            on_unreadable=_keep_unreadable,
        )
        kept, old = sorted_out(runs, kind, self._keep(workflow, kind), workflow.metadata.uid)
        # Of those beyond the limit that owe something, each counts when it is settled.
        count.listed = min(len(kept), self._keep(workflow, kind))
        used = {run.status.revision for run in kept}
        history.unreferenced |= {run.status.revision for run in old if run.status.revision} - used
        for run in old:
            await self._delete(
                names.EXECUTIONS, workflow.metadata.namespace, run.metadata.name, run.metadata.uid
            )
        return kept

    async def _prune_revisions(self, workflow: WorkflowView, named: set[str]) -> None:
        if self._cluster.unreadable[names.EXECUTIONS]:
            return  # an unreadable run may be the only one that uses a revision
        namespace, name = workflow.metadata.key
        selector = f"{names.LABEL_WORKFLOW}={name}"
        revisions = await self._store.list_all(
            names.REVISIONS, namespace, RevisionView, label_selector=selector, on_unreadable=_keep_unreadable
        )
        needed = named | self._in_use(workflow)
        for revision in unneeded_revisions(revisions, needed, workflow.metadata.uid):
            meta = revision.metadata
            self._cluster.revisions.deleted((namespace, meta.name))
            await self._delete(names.REVISIONS, namespace, meta.name, meta.uid)

    def _in_use(self, workflow: WorkflowView) -> set[str]:
        """The revisions that live runs use, and the current one, for the next run."""
        namespace, name = workflow.metadata.key
        live = [
            execution
            for run in self._cluster.executions_of.get((namespace, name), ())
            if (execution := self._cluster.executions.get((namespace, run))) is not None
        ]
        used = {revision for e in live if (revision := e.status.revision or e.spec.revision)}
        # A run with Jobs and no status yet names its revision only in them.
        jobs = (j for e in live for j in self._cluster.jobs_of.get(e.metadata.uid, {}).values())
        used |= {job.metadata.annotations.revision for job in jobs}
        current = live_revision(self._cluster, workflow)
        return used | {current.name} if current else used

    async def _delete(self, resource: names.Resource, namespace: str, name: str, uid: str) -> None:
        try:
            await self._store.delete(resource, namespace, name, propagation="Background", uid=uid)
        except (errors.NotFound, errors.Conflict):
            log.debug("%s %s is gone already", resource.kind, name)


def _keep_unreadable(error: errors.Unreadable) -> None:
    """An unreadable object is kept, and does not keep others from being deleted."""
    log.warning("kept whatever the history limits: %s", error.message)
