"""What the operator knows of the cluster: a cache for each kind, and indexes over them.

Every replica keeps its caches warm, whoever leads. Changes that need a reconcile are reported to
`wake`; noise (a Job's counters, a Pod's readiness) is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.cache import Cache, Key
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.nativeviews import JobView, NodeView, PodView, VolumeClaimView
from nightcrawler_crds.kube.reading import Unreadables
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, OwingView, ProfileView, WorkflowView
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.validation import wanted_by
from nightcrawler_operator.cluster import relevant
from nightcrawler_operator.cluster.childcaches import ChildCaches
from nightcrawler_operator.cluster.environments import EnvironmentChanges
from nightcrawler_operator.cluster.lookup_results import LookupResults
from nightcrawler_operator.cluster.nodefacts import NodeFacts
from nightcrawler_operator.cluster.notices import NoticeOptions, Notices
from nightcrawler_operator.cluster.owing import OwingRuns
from nightcrawler_operator.cluster.past import PastRuns
from nightcrawler_operator.cluster.places import Places, limit_in_force
from nightcrawler_operator.cluster.revisioncache import RevisionCache
from nightcrawler_operator.cluster.room import Room
from nightcrawler_operator.cluster.runindex import index_run
from nightcrawler_operator.cluster.traces import TraceFacts, owed, uncollected
from nightcrawler_operator.cluster.usage import Usage
from nightcrawler_operator.decisions.pods import ENDED
from nightcrawler_operator.decisions.schedules.snapshot import SCHEDULED, has_schedule
from nightcrawler_operator.keys import (
    DutyKey,
    ExecutionKey,
    LeftoverKey,
    PlacesKey,
    PodEventsKey,
    ScheduleKey,
    TraceKey,
    WorkflowKey,
    WorkKey,
)
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Refusal

_DEFAULT: Final = Limits()


class ClusterState:
    """The caches, their indexes, and what was looked up besides."""

    def __init__(
        self,
        store: Store,
        namespace: str,
        wake: Callable[[WorkKey], None],
        limits: Limits = _DEFAULT,
        *,
        notices: NoticeOptions | None = None,
        wake_trace: Callable[[PodEventsKey | TraceKey], None] = lambda _: None,
    ) -> None:
        self._wake = wake
        self.workflows: Cache[WorkflowView] = Cache(self._workflow_changed)
        self.executions: Cache[ExecutionView] = Cache(self._execution_changed)
        self.environments: Cache[EnvironmentView] = Cache(self._environment_changed)
        limit_of = partial(limit_in_force, self.workflows, self.environments, limits)
        self.places = Places(limit_of, lambda: wake(PlacesKey()))
        self.profiles: Cache[ProfileView] = Cache(self._profile_changed)
        # Objects of our own kinds that exist and cannot be parsed; see `watch_events`.
        self.unreadable = {kind: Unreadables(kind) for kind in names.OURS}
        self.children = ChildCaches(store, namespace, self.executions, wake)
        self.jobs, self.jobs_of = self.children.jobs, self.children.jobs_of
        self.pods, self.pods_of = self.children.pods, self.children.pods_of
        self.nodes = Informer(
            store, names.NODES, NodeView, on_change=self._node_changed, keep_unreadable=True
        )
        self.environment_changes = EnvironmentChanges(self.environments, wake)
        # The Pods of all nodes are followed only while there are Environments.
        self.room = Room(store, self.environment_changes.all_changed)
        self.usage = Usage()
        self.past = PastRuns()
        self.traces = TraceFacts()
        self._wake_trace = wake_trace
        self.notices = Notices(store, namespace, notices or NoticeOptions(), on_targets=self._targets_changed)
        self.owing = OwingRuns(store, namespace, limits.max_owing_runs, self._owing_changed)
        self.executions_of: dict[Key, set[str]] = {}
        self.owing_of: dict[Key, set[str]] = {}
        self.recorded_at: dict[str, datetime] = {}
        self.lookup_results: dict[str, LookupResults] = {}
        self.revisions = RevisionCache()
        self._node_facts = NodeFacts()
        self._observed_at: dict[str, float] = {}
        self._workflow_read_at: dict[Key, float] = {}
        self._own_write: WorkKey | None = None

    @property
    def informers(
        self,
    ) -> tuple[
        Informer[JobView],
        Informer[PodView],
        Informer[VolumeClaimView],
        Informer[NodeView],
        Informer[OwingView],
    ]:
        """The informers to run, and to have synced before anything is decided."""
        return (self.jobs, self.pods, self.children.volume_claims, self.nodes, self.owing.informer)

    @property
    def node_facts(self) -> Nodes:
        """What decisions look at in the nodes."""
        return self._node_facts.nodes

    def record_own_write(self, written: ExecutionView) -> None:
        """Cache the response to our own write, without queueing the execution for it."""
        meta = written.metadata
        self._observed_at[meta.uid] = time.monotonic()
        self._own_write = ExecutionKey(*meta.key)
        try:
            if written.status.has_ended:
                self.notices.observed(meta, written.status.notifications)
                self.owing.record_ended(written)
                self.executions.forget(meta.key, meta.uid, meta.version)
            else:
                self.executions.upsert(written)
        finally:
            self._own_write = None

    def age(self, uid: str) -> float:
        """Seconds since an execution was last observed."""
        return time.monotonic() - self._observed_at.get(uid, float("-inf"))

    def note_read(self, workflow: Key, began: float) -> None:
        """Note that a workflow was read; the request began at that moment of the monotonic clock."""
        self._workflow_read_at[workflow] = max(began, self._workflow_read_at.get(workflow, began))

    def has_read_since(self, workflow: Key, uid: str) -> bool:
        """Whether a workflow was read after an execution was last observed, be it for another one."""
        began, observed = self._workflow_read_at.get(workflow), self._observed_at.get(uid)
        return began is not None and observed is not None and began > observed

    def invalidate(self) -> None:
        """Treat everything as stale that another leader may have changed.

        Every execution is read again before a Job is created for it: a lagging watch would show an old
        status, and deleted Jobs cannot show that a step has run. And a revision that was written once may
        have been deleted as unneeded, or one that was absent may be there again.
        """
        self._observed_at.clear()
        for results in self.lookup_results.values():
            results.absent = frozenset()
        self.revisions.forget_recorded()
        self.past.clear()
        self.places.begin_term(self.executions)

    def results_of(self, uid: str) -> LookupResults:
        """The look-up results of an execution, created if there are none."""
        known = self.lookup_results.get(uid)
        if known is None:
            known = self.lookup_results[uid] = LookupResults()
        return known

    def note_refusal(self, uid: str, child: str, why: Refusal) -> None:
        """Note that the API server refused the Job, or the Pod, of that name."""
        self.results_of(uid).refusals[child] = why

    def clear_refusal(self, uid: str, child: str) -> None:
        """Clear an earlier refusal."""
        if uid in self.lookup_results:
            self.lookup_results[uid].refusals.pop(child, None)

    def refusal_of(self, uid: str, child: str) -> Refusal | None:
        """The last refusal of the Job, or the Pod, of that name."""
        known = self.lookup_results.get(uid)
        return known.refusals.get(child) if known is not None else None

    def has_unrecorded_end(self, execution: ExecutionView) -> bool:
        """Whether a finished Pod is not in status yet."""
        steps = execution.status.steps

        def is_recorded(step: str) -> bool:
            return step in steps and steps[step].completion_time is not None

        pods = self.pods_of.get(execution.metadata.uid, {}).values()
        return any(
            pod.status.phase in ENDED and not is_recorded(pod.metadata.annotations.step) for pod in pods
        )

    # --- changes ---------------------------------------------------------------------------------

    def _workflow_changed(self, old: WorkflowView | None, new: WorkflowView | None) -> None:
        some = new or old
        assert some is not None
        key = WorkflowKey(*some.metadata.key)
        if new is None:
            self._workflow_read_at.pop(some.metadata.key, None)
            self.notices.deliveries.forget(some.metadata.uid)
        else:
            self.notices.observed(new.metadata, new.status.notifications, names.WORKFLOWS.kind)
            if wanted_by(new.spec):
                self.notices.targets.want()
        if old is None or new is None or old.metadata.generation != new.metadata.generation:
            self._wake(key)
            self.places.limits_changed()
            if has_schedule(some):
                self._wake(ScheduleKey(*some.metadata.key))
        if old is None or new is None or old.status.schedule != new.status.schedule:
            for name in self.owing_of.get(some.metadata.key, ()):
                self._wake(DutyKey(some.metadata.namespace, name))
        if new is not None and old is None:
            for name in self.executions_of.get(some.metadata.key, ()):
                self._wake(ExecutionKey(some.metadata.namespace, name))

    def _execution_changed(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        some = new or old
        assert some is not None
        meta = some.metadata
        self.unreadable[names.EXECUTIONS].clear(meta.key, meta.uid, meta.version)
        self.environment_changes.run_changed(old, new)
        self.places.execution_changed(old, new)
        workflow = (meta.namespace, some.spec.workflow_ref.name)
        if old is None or new is None:
            index_run(self.executions_of, workflow, meta.name, there=new is not None)
        if old is None or new is None or old.status.phase != new.status.phase:
            self._wake(WorkflowKey(*workflow))  # its status counts live runs, and has the last one's phase
        if new is None and some.spec.trigger.type == SCHEDULED:
            self._wake(ScheduleKey(*workflow))
        if new is None:
            if self.owing.get(meta.key, meta.uid) is None:
                self.traces.forget(meta.uid)
            self.lookup_results.pop(meta.uid, None)
            self._observed_at.pop(meta.uid, None)
            self.recorded_at.pop(meta.uid, None)
            self.children.wake_leftovers(LeftoverKey(*meta.key, meta.uid))
            return
        self._observed_at[meta.uid] = time.monotonic()
        self.notices.observed(meta, new.status.notifications)
        for attempt in uncollected(new):
            self._wake_trace(attempt)
        key = ExecutionKey(*meta.key)
        if key != self._own_write:
            self._wake(key)

    def _owing_changed(self, old: OwingView | None, new: OwingView | None) -> None:
        some = new or old
        assert some is not None
        meta = some.metadata
        index_run(
            self.owing_of, (meta.namespace, some.spec.workflow_ref.name), meta.name, there=new is not None
        )
        if new is None:
            self.notices.deliveries.forget(meta.uid)
            self.traces.forget(meta.uid)
        else:
            self.notices.observed(meta, new.status.notifications)
            for trace in owed(new):
                self._wake_trace(trace)
        if new is not None:
            self._wake(DutyKey(*meta.key))
            if old is None and some.spec.trigger.type == SCHEDULED:
                self._wake(ScheduleKey(meta.namespace, some.spec.workflow_ref.name))
        else:
            self.children.wake_leftovers(
                LeftoverKey(*meta.key, meta.uid)
            )  # its Jobs may have stayed for a duty
        if (oldest := self.owing.one_too_many()) is not None:
            self._wake(DutyKey(*oldest))

    def _targets_changed(self, namespace: str) -> None:
        for workflow in self.workflows:
            if namespace in ("", workflow.metadata.namespace) and wanted_by(workflow.spec):
                self._wake(WorkflowKey(*workflow.metadata.key))

    def _environment_changed(self, old: EnvironmentView | None, new: EnvironmentView | None) -> None:
        # Runs keep their Environment, whose spec is read from the cache for every Job. But a run may wait
        # for one that was deleted or is cordoned.
        self.room.want(len(self.environments) > 0)
        if new is None or (old is not None and old.metadata.generation == new.metadata.generation):
            return
        self.environment_changes.changed(new.metadata.name)
        self.places.limits_changed()
        for execution in self.executions:
            if execution.status.environment in (new.metadata.name, None):
                self._wake(ExecutionKey(*execution.metadata.key))

    def _profile_changed(self, old: ProfileView | None, new: ProfileView | None) -> None:
        if old is not None and new is not None and old.metadata.generation == new.metadata.generation:
            return
        # Profiles change seldom: what was resolved with them is resolved again.
        self.revisions.forget_live()
        for workflow in self.workflows:
            if relevant.names_profile(workflow.spec):
                self._wake(WorkflowKey(*workflow.metadata.key))

    def _node_changed(self, old: NodeView | None, new: NodeView | None) -> None:
        if old is not None and new is not None and relevant.node_state(old) == relevant.node_state(new):
            return
        some = new or old
        assert some is not None
        # Nothing is decided before all nodes were listed.
        if self._node_facts.change(some.metadata.name, new) and self.nodes.synced.is_set():
            # Rare, and any of them may be waiting for this.
            for execution in self.executions:
                self._wake(ExecutionKey(*execution.metadata.key))
            self.environment_changes.all_changed()
