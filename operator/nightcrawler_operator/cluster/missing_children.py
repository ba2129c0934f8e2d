"""Reads children by name that no watch reports: watches select by label, and labels can be removed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TypeVar

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.nativeviews import JobView, PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.ownership import is_pod_of
from nightcrawler_operator.snapshot import Unwatched

log = logging.getLogger(__name__)

T = TypeVar("T")


async def find_children(
    store: Store, cluster: ClusterState, namespace: str, name: str
) -> tuple[JobView | None, tuple[PodView, ...]]:
    """A Job and its Pods, by their names and owners: our labels may have been removed.

    The Pod of a managed Job has the Job's name. The Job controller generates names and selects by a label of
    its own; a Pod without that label does not belong to the Job for it either.
    """
    job = await _get(store, names.JOBS, namespace, name, JobView)
    asked = {name}
    selector = ""
    if job is None:
        log.info("Job %s is gone", name)
        selector = f"batch.kubernetes.io/job-name={name}"
    elif not job.managed:
        selector = f"batch.kubernetes.io/controller-uid={job.metadata.uid}"
        last = cluster.children.lost_pods.get(job.metadata.uid)
        asked = {last} if last else set()
    listed = await store.list_all(names.PODS, namespace, PodView, label_selector=selector) if selector else []
    found = {pod.metadata.name: pod for pod in listed}
    for one in asked - found.keys():
        if (pod := await _get(store, names.PODS, namespace, one, PodView)) is not None:
            found[one] = pod
    return job, tuple(pod for pod in found.values() if is_pod_of(pod, job, name))


def keep_children(
    cluster: ClusterState,
    uid: str,
    which: tuple[str, int],
    *,
    job: JobView | None = None,
    pods: Iterable[PodView] = (),
) -> None:
    """Keep what was found of an attempt for the next Snapshot.

    The caches hold what a watch reports. A child without its execution's label would never be removed from
    them, so it is kept apart until it is read again.
    """
    lost_job, lost_pods = None, []
    if job is not None and job.metadata.labels.execution_uid == uid:
        cluster.jobs.cache.upsert(job)
    else:
        lost_job = job
    for pod in pods:
        if pod.metadata.labels.execution_uid == uid:
            cluster.pods.cache.upsert(pod)
        else:
            lost_pods.append(pod)
    unwatched = cluster.results_of(uid).unwatched
    if lost_job is not None or lost_pods:
        unwatched[which] = Unwatched(utcnow(), lost_job, tuple(lost_pods))
    else:
        unwatched.pop(which, None)


async def _get(store: Store, resource: Resource, namespace: str, name: str, kind: type[T]) -> T | None:
    try:
        return await store.get(resource, namespace, name, kind)
    except errors.NotFound:
        return None
