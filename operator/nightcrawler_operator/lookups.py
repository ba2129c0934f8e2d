"""Questions to the API server that the caches cannot answer, asked because a decision needs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import (
    EnvironmentView,
    EventView,
    RevisionView,
    WorkflowView,
)
from nightcrawler_operator.builders import revision as revisions
from nightcrawler_operator.cluster.missing_children import find_children, take_in
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.pods import ENDED, is_live
from nightcrawler_operator.plan import (
    LookForEnvironments,
    LookForEvents,
    LookForJob,
    LookForRevision,
    LookForWorkflow,
    Lookup,
)
from nightcrawler_operator.snapshot import ObservedEvents, Snapshot

log = logging.getLogger(__name__)


class Lookups:
    """Asks, and puts the answers where the next Snapshot finds them."""

    def __init__(self, store: Store, cluster: ClusterState) -> None:
        self._store = store
        self._cluster = cluster

    async def carry_out(self, snapshot: Snapshot, lookups: Iterable[Lookup]) -> bool:
        """Ask all; True if an answer was news, so that a new decision makes sense."""
        news = False
        for lookup in lookups:
            match lookup:
                case LookForWorkflow():
                    news |= await self._anew(snapshot)
                case LookForEnvironments():
                    news |= await self._environments(snapshot)
                case LookForJob():
                    news |= await self._job(snapshot, lookup)
                case LookForEvents():
                    news |= await self._events(snapshot, lookup)
                case LookForRevision():
                    news |= await self._revision(snapshot, lookup.name)
        return news

    async def _anew(self, snapshot: Snapshot) -> bool:
        meta = snapshot.execution.metadata
        known = snapshot.workflow
        assert known is not None
        key = known.metadata.key
        # Of many runs that are created at once, the first asks for all that have been heard of by then.
        if not self._cluster.has_read_since(key, meta.uid):
            began = time.monotonic()
            try:
                workflow = await self._store.get(names.WORKFLOWS, *key, WorkflowView)
            except errors.NotFound:
                self._cluster.workflows.forget(key, known.metadata.uid, known.metadata.version)
                return True
            self._cluster.workflows.upsert(workflow)
            self._cluster.note_read(key, began)
        self._cluster.results_of(meta.uid).fresh = True
        return True

    async def _environments(self, snapshot: Snapshot) -> bool:
        found, version = await self._store.list_with_version(names.ENVIRONMENTS, "", EnvironmentView)
        self._cluster.environments.replace_all(found, version)
        self._cluster.results_of(snapshot.execution.metadata.uid).fresh_environments = True
        return True

    async def _job(self, snapshot: Snapshot, lookup: LookForJob) -> bool:
        """A fresh look at a Job and its Pods; if there is no Pod of it and none can come, that is on record.

        A Job that has not ended may only not have made its Pod yet; what is said of it now would still
        be believed when the Pod has come, and gone unseen.
        """
        meta, name = snapshot.execution.metadata, lookup.name
        job, pods = await find_children(self._store, self._cluster, meta.namespace, name)
        which = _which(snapshot, name)
        if which is not None:
            take_in(self._cluster, meta.uid, which, job=job, pods=pods)
        # One that was forced out without a result says nothing, and is kept by nothing but a finalizer.
        said = any(is_live(pod) or pod.status.phase in ENDED for pod in pods)
        if not said and (lookup.has_run or job is None or job.status.end is not None):
            self._cluster.results_of(meta.uid).absent |= {name}
        return True

    async def _events(self, snapshot: Snapshot, lookup: LookForEvents) -> bool:
        meta = snapshot.execution.metadata
        selector = f"involvedObject.uid={lookup.uid},involvedObject.kind={lookup.kind}"
        found = tuple(
            await self._store.list_all(names.EVENTS, meta.namespace, EventView, field_selector=selector)
        )
        events = self._cluster.results_of(meta.uid).events
        before = events.get(lookup.key)
        events[lookup.key] = ObservedEvents(utcnow(), found)
        return before is None or before.events != found

    async def _revision(self, snapshot: Snapshot, name: str) -> bool:
        namespace = snapshot.execution.metadata.namespace
        try:
            view = await self._store.get(names.REVISIONS, namespace, name, RevisionView)
            self._cluster.remember_revision(namespace, revisions.recorded(view))
        except (errors.NotFound, ValueError) as error:
            log.warning("revision %s cannot be used: %s", name, error)
            self._cluster.lost_revisions.add((namespace, name))
        return True


def _which(snapshot: Snapshot, name: str) -> tuple[str, int] | None:
    """The step and the attempt of a Job, by its name alone: marks may have been taken off with the labels."""
    meta, recorded = snapshot.execution.metadata, snapshot.execution.status.steps
    for step in snapshot.revision.steps if snapshot.revision is not None else recorded:
        last = recorded[step].attempt if step in recorded else 0
        for attempt in range(max(last, 1), 0, -1):
            if names.child_name(meta.name, meta.uid, step, attempt) == name:
                return step, attempt
    return None
