"""The Jobs of a run and their Pods: made, found, told the end of, deleted.

The Pods of our Jobs are ours to make (`spec.managedBy`): that saves the way over the Job controller,
its limits (20 requests a second and five workers by default, for all Jobs of a cluster), and two of its
three status writes and two Events a Job. In its place we

- give a Pod the name of its Job, so that it is made once, whoever makes it;
- give it that controller's finalizer, so that it does not vanish with its result unread;
- write the Job's own account of its end, once, after the step's.

An API server before 1.32 drops the field, as its answer shows; then the Job controller makes the Pod.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import to_wire, utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, JobView, PodView, WholeJobView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.builders.job import job, pod
from nightcrawler_operator.cluster.missing_children import take_in
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.ownership import is_owned_by
from nightcrawler_operator.decisions.refusals import refusal
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import (
    Deadline,
    DecideAgain,
    EndedJob,
    FreedPod,
    NewJob,
    OldObject,
    Run,
)
from nightcrawler_operator.snapshot import Refusal, Snapshot

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_WRITE_TIMEOUT: Final = 5.0
_LOOK_AGAIN: Final = timedelta(seconds=2)


class _StillThere(Exception):
    """The Pod of an earlier Job of the same name, which was deleted, has not gone yet."""


class Children:
    """Makes and removes what belongs to executions. `lease` says for how many seconds we may still write."""

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
        """Delete Jobs, and with them their Pods, or Pods; those that are gone already are passed over."""
        await delete_all(self._store, resource, execution.metadata.namespace, objects, grace_period)

    async def make_jobs(self, snapshot: Snapshot, run: Run, jobs: Iterable[NewJob]) -> None:
        """Make Jobs with their Pods, or find them made.

        Raises:
            DecideAgain: The API server refused one; the lookup results say why.
        """
        if not all(await _all(self._make_job(snapshot, run, new) for new in jobs)):
            raise DecideAgain

    async def make_pods(self, execution: ExecutionView, jobs: Iterable[OldObject]) -> None:
        """Make the Pods of managed Jobs that have none: whoever made the Job did not get to it.

        Raises:
            DecideAgain: The API server did not take one, or a Job is gone.
        """
        if not all(await _all(self._make_missing_pod(execution, old) for old in jobs)):
            raise DecideAgain

    async def _make_job(self, snapshot: Snapshot, run: Run, new: NewJob) -> bool:
        """Create a Job and its Pod; False if the API server refused one, which is then recorded."""
        body = job(run, new, self._limits, managed=self._managed)
        uid = run.execution_uid
        try:
            made = await self._post_or_adopt(run, new, body)
        except errors.ApiError as error:
            self._refused(uid, new.name, "Job", error)
            return False
        self._cluster.taken(uid, new.name)
        take_in(self._cluster, uid, (new.step, new.attempt), job=made.slim)
        self._on_made(snapshot, new)
        return await self._make_pod(uid, made)

    async def _post_or_adopt(self, run: Run, new: NewJob, body: Mapping[str, Any]) -> WholeJobView:
        try:
            return await self._store.create(
                names.JOBS, run.namespace, body, WholeJobView, timeout=self._timeout()
            )
        except errors.AlreadyExists:
            return await self._found_job(run, new)

    async def _found_job(self, run: Run, new: NewJob) -> WholeJobView:
        """The Job that has the name already, if it is this very attempt's."""
        try:
            found = await self._store.get(names.JOBS, run.namespace, new.name, WholeJobView)
        except errors.NotFound:
            raise DecideAgain from None
        meta = found.metadata
        ours = is_owned_by(meta, run.execution_uid)
        if not ours or meta.annotations.step != new.step or meta.annotations.attempt != str(new.attempt):
            raise errors.Invalid(
                f"a Job named {new.name!r} is there that does not belong to this run; delete it"
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
            self._refused(meta.uid, old.name, "Job", error)
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
        """Create a Job's Pod if that is ours to do; False if the API server did not take it."""
        meta, slim = made.metadata, made.slim
        if not slim.managed or slim.spec.suspend or slim.status.end is not None or meta.deletion_timestamp:
            return True
        try:
            created = await self._post_or_find_pod(made)
        except _StillThere:
            message = f"the Pod of a Job {meta.name} that was deleted is not gone yet"
            said = Refusal(message, utcnow() + _LOOK_AGAIN, conditions.STEP_LAST_POD)
            self._cluster.refused(execution_uid, meta.name, said)
            return False
        except errors.ApiError as error:
            self._refused(execution_uid, meta.name, "Pod", error)
            return False
        self._cluster.taken(execution_uid, meta.name)
        if created.metadata.labels.execution_uid == execution_uid:
            self._cluster.pods.cache.upsert(created)
            return True
        # It was made before, and has lost its label since: no watch would tell of it.
        marks = meta.annotations
        take_in(self._cluster, execution_uid, (marks.step, marks.attempt_number), job=slim, pods=[created])
        return False

    def _refused(self, uid: str, name: str, kind: str, error: errors.ApiError) -> None:
        """Note why the API server did not take a child, for the next decision."""
        said = refusal(error, name, self._cluster.refusal_of(uid, name), utcnow())
        self._cluster.refused(uid, name, said)
        log.warning("%s %s is not taken (%s): %s", kind, name, said.reason, error.message)

    async def _post_or_find_pod(self, made: WholeJobView) -> PodView:
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
            raise _StillThere
        raise errors.Invalid(f"a Pod named {meta.name!r} is there that is not of this Job; delete it")

    def _timeout(self) -> float:
        return min(_WRITE_TIMEOUT, self._lease())


async def delete_all(
    store: Store,
    resource: names.Resource,
    namespace: str,
    objects: Iterable[OldObject],
    grace_period: int | None = None,
) -> None:
    """Delete these very objects, by their UIDs, and what they own; those that are gone are passed over."""

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
    """Tell the kubelets when the time of Pods is over.

    What the API server does not take is not tried again: then we end the program ourselves, a little later.
    """
    meta = execution.metadata

    async def one(deadline: Deadline) -> None:
        body = {"metadata": {"uid": deadline.uid}, "spec": {"activeDeadlineSeconds": deadline.seconds}}
        try:
            told = await store.patch(names.PODS, meta.namespace, deadline.name, body, PodView)
        except (errors.NotFound, errors.Conflict):
            log.debug("Pod %s is gone already", deadline.name)
            return
        except (errors.Invalid, errors.Forbidden) as error:
            log.warning("the deadline of Pod %s cannot be set: %s", deadline.name, error)
        else:
            cluster.pods.cache.upsert(told)
        cluster.results_of(meta.uid).note_deadline(deadline.uid, utcnow())

    await _all(one(deadline) for deadline in deadlines)


async def tell_ends(store: Store, cluster: ClusterState, namespace: str, ended: Iterable[EndedJob]) -> None:
    """Write the ends of managed Jobs into their status, for whoever looks at Jobs.

    Nothing of ours hangs on it, so what the API server does not take is not tried again.
    """

    async def one(job: EndedJob) -> None:
        body = {"metadata": {"uid": job.uid}, "status": _account(job)}
        try:
            told = await store.patch(names.JOBS, namespace, job.name, body, JobView, subresource="status")
        except (errors.NotFound, errors.Conflict):
            log.debug("Job %s is gone already", job.name)
        except (errors.Invalid, errors.Forbidden) as error:
            cluster.untold.add(job.uid)
            log.warning("the end of Job %s cannot be written to its status: %s", job.name, error)
        else:
            cluster.jobs.cache.upsert(told)

    await _all(one(job) for job in ended)


async def free_pods(store: Store, cluster: ClusterState, namespace: str, freed: Iterable[FreedPod]) -> None:
    """Take our finalizer off Pods, so that they go."""

    async def one(pod: FreedPod) -> None:
        body = {"metadata": {"resourceVersion": pod.version, "finalizers": list(pod.finalizers)}}
        try:
            left = await store.patch(names.PODS, namespace, pod.name, body, PodView)
        except (errors.NotFound, errors.Conflict):
            log.debug("Pod %s is gone, or has changed, which will be told", pod.name)
        else:
            cluster.pods.cache.upsert(left)

    await _all(one(pod) for pod in freed)


def _account(job: EndedJob) -> dict[str, Any]:
    """A Job's status as its controller would leave it; the API server checks that it is consistent."""
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
    """Run side by side, a few at a time; all are carried through before the first error is raised."""
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
