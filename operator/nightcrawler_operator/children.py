"""The Jobs of a run and their Pods: create, adopt, report their end, delete.

We create the Pods of our Jobs ourselves (`spec.managedBy`): that saves the detour through the Job controller,
its limits (20 requests a second and five workers by default, for all Jobs of a cluster), and two of its
three status writes and two Events a Job. In its place we

- give a Pod the name of its Job, so that it is created once, whoever creates it;
- give it that controller's finalizer, so that it is not removed before its result is read;
- write the Job's final status, once, after the step's.

An API server before 1.32 drops the field, as its response shows; then the Job controller creates the Pod.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.building.job import job, pod
from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.building.volume import Volume
from nightcrawler_crds.building.volumeclaim import volume_claim
from nightcrawler_crds.clock import to_wire, utcnow
from nightcrawler_crds.kube.nativeviews import JobView, PodView, VolumeClaimView, WholeJobView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.cluster.missing_children import keep_children
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.ownership import is_owned_by
from nightcrawler_operator.decisions.refusals import refusal
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Deadline, DecideAgain, EndedJob, FreedPod, OldObject
from nightcrawler_operator.snapshot import Refusal, Snapshot

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_WRITE_TIMEOUT: Final = 5.0
_RETRY_AFTER: Final = timedelta(seconds=2)


class _PreviousPodExists(Exception):
    """The Pod of an earlier, deleted Job of the same name still exists."""


class Children:
    """Creates and deletes the children of executions. `lease` is for how many seconds we may still write."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        *,
        limits: Limits,
        managed: bool,
        lease: Callable[[], float],
        on_made: Callable[[Snapshot, NewJob], None],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._limits = limits
        self._managed = managed
        self._lease = lease
        self._on_made = on_made

    async def delete(
        self,
        resource: names.Resource,
        execution: ExecutionView,
        objects: Iterable[OldObject],
        grace_period: int | None = None,
    ) -> None:
        """Delete Jobs, and with them their Pods, or Pods; those already gone are skipped."""
        await delete_all(self._store, resource, execution.metadata.namespace, objects, grace_period)

    async def make_volume_claim(self, run: Run, volume: Volume) -> None:
        """Create the claim of the run's volume, or adopt it.

        Raises:
            DecideAgain: The API server refused it; the lookup results say why.
        """
        uid = run.execution_uid
        try:
            made = await self._create_or_adopt_volume_claim(run, volume)
        except errors.ApiError as error:
            self._note_refusal(uid, volume.claim, names.VOLUME_CLAIMS.kind, error)
            raise DecideAgain from None
        self._cluster.clear_refusal(uid, volume.claim)
        self._cluster.children.volume_claims.cache.upsert(made)

    async def _create_or_adopt_volume_claim(self, run: Run, volume: Volume) -> VolumeClaimView:
        body = volume_claim(run, volume)
        try:
            return await self._store.create(
                names.VOLUME_CLAIMS, run.namespace, body, VolumeClaimView, timeout=self._timeout()
            )
        except errors.AlreadyExists:
            found = await self._store.get(names.VOLUME_CLAIMS, run.namespace, volume.claim, VolumeClaimView)
        if found.metadata.labels.execution_uid != run.execution_uid:
            raise errors.Invalid(
                f"a PersistentVolumeClaim named {volume.claim!r} exists that does not belong to this run; "
                "delete it"
            )
        if found.metadata.deletion_timestamp is not None:
            raise errors.Unavailable(f"PersistentVolumeClaim {volume.claim} is being deleted")
        return found

    async def make_jobs(self, snapshot: Snapshot, run: Run, jobs: Iterable[NewJob]) -> None:
        """Create Jobs with their Pods, or adopt those that exist.

        Raises:
            DecideAgain: The API server refused one; the lookup results say why.
        """
        if not all(await _all(self._make_job(snapshot, run, new) for new in jobs)):
            raise DecideAgain

    async def make_pods(self, execution: ExecutionView, jobs: Iterable[OldObject]) -> None:
        """Create the Pods that managed Jobs lack: their creator died before it got to that.

        Raises:
            DecideAgain: The API server refused one, or a Job is gone.
        """
        if not all(await _all(self._make_missing_pod(execution, old) for old in jobs)):
            raise DecideAgain

    async def _make_job(self, snapshot: Snapshot, run: Run, new: NewJob) -> bool:
        """Create a Job and its Pod; False if the API server refused one, which is then recorded.

        False too if the Job was there before, of another revision or in another Environment: that is how the
        run began.
        """
        body = job(run, new, self._limits, managed=self._managed)
        uid = run.execution_uid
        try:
            made = await self._create_or_adopt(run, new, body)
        except errors.ApiError as error:
            self._note_refusal(uid, new.name, "Job", error)
            return False
        self._cluster.clear_refusal(uid, new.name)
        keep_children(self._cluster, uid, (new.step, new.attempt), job=made.slim)
        self._on_made(snapshot, new)
        marks = made.metadata.annotations
        begun_before = snapshot.execution.status.revision is None and (
            marks.revision != run.revision.name or marks.environment != (run.place or "")
        )
        return await self._make_pod(uid, made) and not begun_before

    async def _create_or_adopt(self, run: Run, new: NewJob, body: Mapping[str, Any]) -> WholeJobView:
        try:
            return await self._store.create(
                names.JOBS, run.namespace, body, WholeJobView, timeout=self._timeout()
            )
        except errors.AlreadyExists:
            return await self._found_job(run, new)

    async def _found_job(self, run: Run, new: NewJob) -> WholeJobView:
        """The existing Job of that name, if it belongs to this very attempt."""
        try:
            found = await self._store.get(names.JOBS, run.namespace, new.name, WholeJobView)
        except errors.NotFound:
            raise DecideAgain from None
        meta = found.metadata
        ours = is_owned_by(meta, run.execution_uid)
        if not ours or meta.annotations.step != new.step or meta.annotations.attempt != str(new.attempt):
            raise errors.Invalid(
                f"a Job named {new.name!r} exists that does not belong to this run; delete it"
            )
        if meta.deletion_timestamp is not None:
            raise errors.Unavailable(f"Job {new.name} is being deleted")
        log.info("step %r: adopted Job %s", new.step, new.name)
        return found

    async def _make_missing_pod(self, execution: ExecutionView, old: OldObject) -> bool:
        meta = execution.metadata
        try:
            found = await self._store.get(names.JOBS, meta.namespace, old.name, WholeJobView)
        except errors.NotFound:
            found = None
        except errors.ApiError as error:
            self._note_refusal(meta.uid, old.name, "Job", error)
            return False
        if found is None or found.metadata.uid != old.uid:
            known = self._cluster.jobs.cache.get((meta.namespace, old.name))
            if known is not None and known.metadata.uid == old.uid:
                self._cluster.jobs.cache.forget(known.metadata.key, old.uid, known.metadata.version)
            return False
        if found.metadata.labels.execution_uid == meta.uid:
            self._cluster.jobs.cache.upsert(found.slim)
        return await self._make_pod(meta.uid, found)

    async def _make_pod(self, execution_uid: str, made: WholeJobView) -> bool:
        """Create a Job's Pod if we manage the Job; False if the API server refused it."""
        meta, slim = made.metadata, made.slim
        if not slim.managed or slim.spec.suspend or slim.status.end is not None or meta.deletion_timestamp:
            return True
        try:
            created = await self._create_or_find_pod(made)
        except _PreviousPodExists:
            message = f"the Pod of a Job {meta.name} that was deleted is not gone yet"
            refused = Refusal(message, utcnow() + _RETRY_AFTER, conditions.STEP_LAST_POD)
            self._cluster.note_refusal(execution_uid, meta.name, refused)
            return False
        except errors.ApiError as error:
            self._note_refusal(execution_uid, meta.name, "Pod", error)
            return False
        self._cluster.clear_refusal(execution_uid, meta.name)
        if created.metadata.labels.execution_uid == execution_uid:
            self._cluster.pods.cache.upsert(created)
            return True
        # It was created before, and has lost its label since: no watch reports it.
        marks = meta.annotations
        keep_children(
            self._cluster, execution_uid, (marks.step, marks.attempt_number), job=slim, pods=[created]
        )
        return False

    def _note_refusal(self, uid: str, name: str, kind: str, error: errors.ApiError) -> None:
        """Note why the API server refused a child, for the next decision."""
        refused = refusal(error, name, self._cluster.refusal_of(uid, name), utcnow())
        self._cluster.note_refusal(uid, name, refused)
        log.warning("%s %s was refused (%s): %s", kind, name, refused.reason, error.message)

    async def _create_or_find_pod(self, made: WholeJobView) -> PodView:
        meta = made.metadata
        try:
            return await self._store.create(
                names.PODS, meta.namespace, pod(made), PodView, timeout=self._timeout()
            )
        except errors.AlreadyExists:
            found = await self._store.get(names.PODS, meta.namespace, meta.name, PodView)
        if is_owned_by(found.metadata, meta.uid):
            return found
        if any(owner.kind == "Job" and owner.name == meta.name for owner in found.metadata.owner_references):
            raise _PreviousPodExists
        raise errors.Invalid(f"a Pod named {meta.name!r} exists that does not belong to this Job; delete it")

    def _timeout(self) -> float:
        return min(_WRITE_TIMEOUT, self._lease())


async def delete_all(
    store: Store,
    resource: names.Resource,
    namespace: str,
    objects: Iterable[OldObject],
    grace_period: int | None = None,
) -> None:
    """Delete these very objects, by UID, and what they own; those already gone are skipped."""

    async def one(old: OldObject) -> None:
        try:
            await store.delete(
                resource,
                namespace,
                old.name,
                propagation="Background",
                uid=old.uid,
                grace_period=grace_period,
            )
        except (errors.NotFound, errors.Conflict):
            log.debug("%s %s is gone already", resource.kind, old.name)

    await _all(one(old) for old in objects)


async def set_deadlines(
    store: Store, cluster: ClusterState, execution: ExecutionView, deadlines: Iterable[Deadline]
) -> None:
    """Set the `activeDeadlineSeconds` of Pods.

    A refused one is not retried: then we delete the Pod ourselves, a little later.
    """
    meta = execution.metadata

    async def one(deadline: Deadline) -> None:
        body = {"metadata": {"uid": deadline.uid}, "spec": {"activeDeadlineSeconds": deadline.seconds}}
        try:
            updated = await store.patch(names.PODS, meta.namespace, deadline.name, body, PodView)
        except (errors.NotFound, errors.Conflict):
            log.debug("Pod %s is gone already", deadline.name)
            return
        except (errors.Invalid, errors.Forbidden) as error:
            log.warning("the deadline of Pod %s cannot be set: %s", deadline.name, error)
        else:
            cluster.pods.cache.upsert(updated)
        cluster.results_of(meta.uid).note_deadline(deadline.uid, utcnow())

    await _all(one(deadline) for deadline in deadlines)


async def report_job_ends(
    store: Store, cluster: ClusterState, namespace: str, ended: Iterable[EndedJob]
) -> None:
    """Write the final status of managed Jobs, for whoever watches Jobs.

    Nothing of ours depends on it, so a refused write is not retried.
    """

    async def one(job: EndedJob) -> None:
        body = {"metadata": {"uid": job.uid}, "status": _end_status(job)}
        try:
            updated = await store.patch(names.JOBS, namespace, job.name, body, JobView, subresource="status")
        except (errors.NotFound, errors.Conflict):
            log.debug("Job %s is gone already", job.name)
        except (errors.Invalid, errors.Forbidden) as error:
            cluster.children.unreportable.add(job.uid)
            log.warning("the final status of Job %s cannot be written: %s", job.name, error)
        else:
            cluster.jobs.cache.upsert(updated)

    await _all(one(job) for job in ended)


async def remove_finalizers(
    store: Store, cluster: ClusterState, namespace: str, freed: Iterable[FreedPod]
) -> None:
    """Remove our finalizer from deleted Pods, so that they can go."""

    async def one(pod: FreedPod) -> None:
        body = {"metadata": {"resourceVersion": pod.version, "finalizers": list(pod.finalizers)}}
        try:
            left = await store.patch(names.PODS, namespace, pod.name, body, PodView)
        except (errors.NotFound, errors.Conflict):
            log.debug("Pod %s is gone, or has changed: a watch event follows", pod.name)
        else:
            cluster.pods.cache.upsert(left)

    await _all(one(pod) for pod in freed)


def _end_status(job: EndedJob) -> dict[str, Any]:
    """A Job's status as the Job controller would leave it; the API server checks that it is consistent."""
    now = to_wire(utcnow())
    types, reason, message = ("FailureTarget", "Failed"), "BackoffLimitExceeded", "its Pod failed"
    counts: dict[str, Any] = {"failed": 1}
    if job.succeeded:
        types, reason, message = ("SuccessCriteriaMet", "Complete"), "CompletionsReached", "its Pod succeeded"
        counts = {"succeeded": 1, "completionTime": to_wire(max(job.finished, job.started))}
    marks = {
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": now,
        "lastTransitionTime": now,
    }
    return {
        "startTime": to_wire(job.started),
        "active": None,
        "ready": None,
        **counts,
        "conditions": [{"type": kind, **marks} for kind in types],
    }


async def _all(tasks: Iterable[Awaitable[Any]]) -> list[Any]:
    """Run concurrently, a few at a time; all finish before the first error is raised."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def gated(task: Awaitable[Any]) -> Any:
        async with gate:
            return await task

    todo = [gated(task) for task in tasks]
    if len(todo) == 1:
        return [await todo[0]]
    results = await asyncio.gather(*todo, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
