"""Reads from the API server what a decision needs and the caches do not have."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.nativeviews import EventView, RevisionView, SecretView, VolumeClaimView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import (
    EnvironmentView,
    PastRunView,
    PastStepsView,
    ProfileView,
    WorkflowView,
)
from nightcrawler_crds.masking import Mask, Withheld, values_of
from nightcrawler_operator.builders import revision as revisions
from nightcrawler_operator.cluster.missing_children import find_children, keep_children
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.pods import ENDED, is_live
from nightcrawler_operator.plan import (
    LookForEnvironments,
    LookForEvents,
    LookForJob,
    LookForPastRuns,
    LookForProfiles,
    LookForRevision,
    LookForSecrets,
    LookForVolumeClaim,
    LookForWorkflow,
    Lookup,
)
from nightcrawler_operator.snapshot import ObservedEvents, Snapshot

log = logging.getLogger(__name__)


class Lookups:
    """Carries out look-ups, and keeps the results for the next Snapshot."""

    def __init__(self, store: Store, cluster: ClusterState) -> None:
        self._store = store
        self._cluster = cluster

    async def carry_out(self, snapshot: Snapshot, lookups: Iterable[Lookup]) -> bool:
        """Carry out all; True if a result was new, so that a new decision makes sense."""
        changed = False
        for lookup in lookups:
            match lookup:
                case LookForWorkflow():
                    changed |= await self._workflow(snapshot)
                case LookForEnvironments():
                    changed |= await self._environments(snapshot)
                case LookForPastRuns():
                    changed |= await self._past_runs(snapshot)
                case LookForProfiles():
                    changed |= await self._profiles(snapshot)
                case LookForJob():
                    changed |= await self._job(snapshot, lookup)
                case LookForVolumeClaim():
                    changed |= await self._claim(snapshot, lookup.name)
                case LookForEvents():
                    changed |= await self._events(snapshot, lookup)
                case LookForRevision():
                    changed |= await self._revision(snapshot, lookup.name)
                case LookForSecrets():
                    changed |= await self._secrets(snapshot, lookup)
        return changed

    async def _workflow(self, snapshot: Snapshot) -> bool:
        meta, known = snapshot.execution.metadata, snapshot.workflow
        key = (meta.namespace, snapshot.execution.spec.workflow_ref.name)
        # Of many runs created at once, the first reads the workflow for all that were observed by then.
        if not self._cluster.has_read_since(key, meta.uid):
            began = time.monotonic()
            try:
                workflow = await self._store.get(names.WORKFLOWS, *key, WorkflowView)
            except errors.NotFound:
                if known is not None:
                    self._cluster.workflows.forget(key, known.metadata.uid, known.metadata.version)
            else:
                self._cluster.workflows.upsert(workflow)
                self._cluster.note_read(key, began)
        self._cluster.results_of(meta.uid).fresh = True
        return True

    async def _environments(self, snapshot: Snapshot) -> bool:
        found, version = await self._store.list_with_version(names.ENVIRONMENTS, "", EnvironmentView)
        self._cluster.environments.replace_all(found, version)
        self._cluster.results_of(snapshot.execution.metadata.uid).fresh_environments = True
        return True

    async def _past_runs(self, snapshot: Snapshot) -> bool:
        namespace = snapshot.execution.metadata.namespace
        workflow = snapshot.execution.spec.workflow_ref.name
        label = f"{names.LABEL_WORKFLOW}={workflow}"
        completed = await self._store.list_all(
            names.EXECUTIONS,
            namespace,
            PastRunView,
            label_selector=label,
            field_selector="status.phase=Completed",
        )
        # Without a completed run, what is known of the steps of the others is better than a timeout.
        others = (
            await self._store.list_all(names.EXECUTIONS, namespace, PastStepsView, label_selector=label)
            if not completed
            else []
        )
        self._cluster.past.note((namespace, workflow), completed, others)
        return True

    async def _profiles(self, snapshot: Snapshot) -> bool:
        found, version = await self._store.list_with_version(names.COMPUTE_PROFILES, "", ProfileView)
        self._cluster.profiles.replace_all(found, version)
        self._cluster.results_of(snapshot.execution.metadata.uid).fresh_profiles = True
        return True

    async def _job(self, snapshot: Snapshot, lookup: LookForJob) -> bool:
        """Read a Job and its Pods; if it has no Pod and cannot get one, note it as absent.

        A Job that has not ended may not have its Pod yet: noted as absent now, it would still be so after
        the Pod had come and gone unobserved.
        """
        meta, name = snapshot.execution.metadata, lookup.name
        job, pods = await find_children(self._store, self._cluster, meta.namespace, name)
        self._cluster.results_of(meta.uid).note_look_up(name, utcnow())
        which = _which(snapshot, name)
        if which is not None:
            keep_children(self._cluster, meta.uid, which, job=job, pods=pods)
        # A Pod that was force-deleted without a result shows nothing; only a finalizer keeps it.
        found = any(is_live(pod) or pod.status.phase in ENDED for pod in pods)
        if not found and (lookup.has_run or job is None or job.status.end is not None):
            self._cluster.results_of(meta.uid).absent |= {name}
        return True

    async def _claim(self, snapshot: Snapshot, name: str) -> bool:
        """Read a claim; note it as absent if there is none, or one of somebody else's."""
        meta = snapshot.execution.metadata
        try:
            claim = await self._store.get(names.VOLUME_CLAIMS, meta.namespace, name, VolumeClaimView)
        except errors.NotFound:
            claim = None
        if claim is not None and claim.metadata.labels.execution_uid == meta.uid:
            self._cluster.children.volume_claims.cache.upsert(claim)
        else:
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
        meta = snapshot.execution.metadata
        results = self._cluster.results_of(meta.uid)
        try:
            view = await self._store.get(names.REVISIONS, meta.namespace, name, RevisionView)
            self._cluster.revisions.cache_recorded(meta.namespace, revisions.recorded(view))
            results.absent -= {name}
        except (errors.NotFound, ValueError) as error:
            # For this run alone: another one may bring it back from the archive.
            log.warning("revision %s cannot be used: %s", name, error)
            results.absent |= {name}
        results.note_look_up(name, utcnow())
        return True

    async def _secrets(self, snapshot: Snapshot, lookup: LookForSecrets) -> bool:
        meta = snapshot.execution.metadata
        mask = await self._mask(meta.namespace, lookup)
        self._cluster.results_of(meta.uid).note_secrets(mask, utcnow())
        return True

    async def _mask(self, namespace: str, lookup: LookForSecrets) -> Mask:
        """What hides the values of Secrets; those that do not exist have none."""
        values: list[bytes] = []
        for name, keys in lookup.used.items():
            try:
                secret = await self._store.get(names.SECRETS, namespace, name, SecretView)
            except errors.NotFound:
                continue
            except errors.Forbidden as error:
                log.warning(
                    "a message is withheld, its Secrets cannot be read to mask their values: %s", error
                )
                return Withheld()
            values += values_of(secret.data, keys)
        return Mask(values)


def _which(snapshot: Snapshot, name: str) -> tuple[str, int] | None:
    """The step and attempt of a Job, by its name alone: annotations may be gone like the labels."""
    meta, recorded = snapshot.execution.metadata, snapshot.execution.status.steps
    for step in snapshot.revision.steps if snapshot.revision is not None else recorded:
        last = recorded[step].attempt if step in recorded else 0
        for attempt in range(max(last, 1), 0, -1):
            if names.child_name(meta.name, meta.uid, step, attempt) == name:
                return step, attempt
    return None
