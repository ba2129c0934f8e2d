"""From the caches to one frozen Snapshot, with the time in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.allocation import rank
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.nativeviews import JobView, PodView
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_operator.builders import revision as revisions
from nightcrawler_operator.cluster.lookup_results import LookupResults
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.ownership import is_owned_by, is_pod_of
from nightcrawler_operator.decisions.recorded import is_accepted, is_granted
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Attempt, LiveRun, Measured, Outlook, Snapshot, Unwatched

_NOTHING_FOUND = LookupResults()
_NOTHING_USED: Final[Mapping[str, Measured]] = MappingProxyType({})
_ALL_WATCHED: Final[Mapping[tuple[str, int], Unwatched]] = MappingProxyType({})


def observe(cluster: ClusterState, execution: ExecutionView, limits: Limits) -> Snapshot:
    """Everything a decision on this execution may use, as known now."""
    meta, now = execution.metadata, utcnow()
    workflow = cluster.workflows.get((meta.namespace, execution.spec.workflow_ref.name))
    results = cluster.lookup_results.get(meta.uid, _NOTHING_FOUND)
    attempts = attempts_of(cluster, meta.uid, meta.namespace, results.unwatched)
    named, revision = _revision_of(cluster, execution, workflow, attempts)
    return Snapshot(
        now=now,
        execution=execution,
        limits=limits,
        workflow=workflow,
        revision=revision,
        named_revision=named,
        named_environment=_of_jobs(attempts, "environment"),
        outlook=_outlook(cluster, execution, revision),
        standing=cluster.places.standing(meta.uid),
        environments=tuple(cluster.environments),
        profiles=tuple(cluster.profiles),
        nodes=cluster.node_facts,
        attempts=attempts,
        events=results.events,
        absent=results.absent,
        refusals=results.refusals,
        obstacle=results.obstacle,
        room_made=results.room_made,
        deadlines_set=results.deadlines_set,
        looked_up=results.looked_up,
        fresh=results.fresh,
        fresh_environments=results.fresh_environments,
        fresh_profiles=results.fresh_profiles,
        recorded_at=cluster.recorded_at.get(meta.uid),
        volume_claim=cluster.children.volume_claims.cache.get(
            (meta.namespace, names.volume_claim_name(meta.name, meta.uid))
        ),
        usage=_usage(cluster, attempts),
        mask=results.mask_at(now),
        completed=results.completed,
        targets=_targets(cluster, meta.namespace, revision),
        deliveries=cluster.notices.deliveries.of(meta.uid),
        pod_events=cluster.traces.events(meta.uid),
    )


def _revision_of(
    cluster: ClusterState,
    execution: ExecutionView,
    workflow: WorkflowView | None,
    attempts: Mapping[tuple[str, int], Attempt],
) -> tuple[str | None, Revision | None]:
    """The name of the revision that a run uses, if something names one, and the revision if it is known."""
    namespace = execution.metadata.namespace
    if named := execution.status.revision or _of_jobs(attempts, "revision"):
        revision = cluster.revisions.recorded((namespace, named))
        if revision is None and workflow is not None:
            # Most often the workflow has not changed since the run began.
            live = live_revision(cluster, workflow)
            revision = live if live is not None and live.name == named else None
        return named, revision
    if named := execution.spec.revision:
        # It has to exist: were it the live one by its name alone, nothing would keep its content for the run.
        return named, cluster.revisions.recorded((namespace, named))
    return None, live_revision(cluster, workflow) if workflow is not None else None


def _targets(cluster: ClusterState, namespace: str, revision: Revision | None) -> frozenset[str] | None:
    """The channels that have a target, if that matters: the workflow uses those that it does not name."""
    wants = revision is not None and revision.notices.others
    return cluster.notices.targets.channels(namespace) if wants else None


def _usage(cluster: ClusterState, attempts: Mapping[tuple[str, int], Attempt]) -> Mapping[str, Measured]:
    """What the Pods of these attempts have used so far."""
    if not len(cluster.usage):
        return _NOTHING_USED
    pods = (pod.metadata for attempt in attempts.values() for pod in attempt.pods)
    return {pod.uid: measured for pod in pods if (measured := cluster.usage.of(pod.key)) is not None}


def live_revision(cluster: ClusterState, workflow: WorkflowView) -> Revision | None:
    """The revision of a workflow's current spec and profiles; None if it cannot be parsed."""
    key = (workflow.metadata.uid, workflow.metadata.generation)
    known = cluster.revisions.live(key)
    if known is None:
        try:
            known = revisions.revision_of(workflow, tuple(cluster.profiles))
        except ValueError:
            return None
        cluster.revisions.cache_live(key, known)
    return known


def attempts_of(
    cluster: ClusterState,
    uid: str,
    namespace: str,
    unwatched: Mapping[tuple[str, int], Unwatched] = _ALL_WATCHED,
) -> dict[tuple[str, int], Attempt]:
    """What the cluster has of an execution's attempts, by step and number.

    Anybody can copy or remove labels; `unwatched` children were found without them.
    """
    jobs = {
        _which(job): job
        for job in cluster.children.labelled_jobs(uid, namespace)
        if is_owned_by(job.metadata, uid)
    }
    jobs = {which: one.job for which, one in unwatched.items() if one.job is not None} | jobs
    of_job = {job.metadata.uid: which for which, job in jobs.items()}
    pods: dict[tuple[str, int], list[PodView]] = {}
    for pod in cluster.pods_of.get(uid, {}).values():
        if pod.metadata.namespace != namespace:
            continue
        owned = (of_job[o.uid] for o in pod.metadata.owner_references if o.uid in of_job)
        which = next(owned, None) or _orphan_of(pod, uid, jobs)
        if which is not None:
            pods.setdefault(which, []).append(pod)
    attempts = {which: _attempt(cluster, jobs.get(which), pods.get(which, ())) for which in {**jobs, **pods}}
    return attempts | {
        which: _with_unwatched(attempts.get(which, Attempt()), one) for which, one in unwatched.items()
    }


def _attempt(cluster: ClusterState, job: JobView | None, pods: Iterable[PodView]) -> Attempt:
    uid = job.metadata.uid if job is not None else ""
    return Attempt(
        job,
        tuple(pods),
        pod_lost=uid in cluster.children.lost_pods,
        end_reported=uid in cluster.children.unreportable,
    )


def _with_unwatched(attempt: Attempt, found: Unwatched) -> Attempt:
    """The attempt with those of its Pods that no watch reports."""
    known = {pod.metadata.uid for pod in attempt.pods}
    more = tuple(pod for pod in found.pods if pod.metadata.uid not in known)
    # For a Job without its label, its Pod shows everything needed.
    blind = more or (not attempt.pods and attempt.job is found.job)
    return replace(attempt, pods=(*attempt.pods, *more), looked_up_at=found.at if blind else None)


def _orphan_of(pod: PodView, uid: str, jobs: Mapping[tuple[str, int], JobView]) -> tuple[str, int] | None:
    """The attempt of a Pod whose Job is gone; by name, since nothing else is left."""
    which = _which(pod)
    name = names.child_name(pod.metadata.labels.execution, uid, *which)
    return which if which not in jobs and is_pod_of(pod, None, name) else None


def _which(child: JobView | PodView) -> tuple[str, int]:
    marks = child.metadata.annotations
    return marks.step, marks.attempt_number


def _of_jobs(attempts: Mapping[tuple[str, int], Attempt], what: str) -> str | None:
    """The revision, or the environment, named by Jobs that are not in status yet."""
    named = (getattr(a.job.metadata.annotations, what) for a in attempts.values() if a.job is not None)
    return next((name for name in named if name), None)


def _outlook(cluster: ClusterState, execution: ExecutionView, revision: Revision | None) -> Outlook | None:
    """How busy the Environments are, if that matters: a strategy is to place this execution."""
    meta, status = execution.metadata, execution.status
    if revision is None or revision.spec.environment_strategy is None:
        return None
    if is_accepted(status) and is_granted(status) is not False:
        return None
    running: dict[str, list[LiveRun]] = {}
    waiting: dict[str, int] = {}
    own_rank = rank(revision.spec.priority, meta.creation_timestamp or utcnow(), meta.namespace, meta.name)
    for other in cluster.executions:
        status = other.status
        if not status.environment or other.metadata.uid == meta.uid:
            continue
        if cluster.places.is_behind(other.metadata.uid, own_rank):
            continue
        if status.start_time is None:
            waiting[status.environment] = waiting.get(status.environment, 0) + 1
        else:
            workflow = (other.metadata.namespace, other.spec.workflow_ref.name)
            live = LiveRun(status.start_time, cluster.past.runs_of(workflow))
            running.setdefault(status.environment, []).append(live)
    own = (execution.metadata.namespace, execution.spec.workflow_ref.name)
    return Outlook(
        free=cluster.room.free(cluster.node_facts.rooms),
        running={place: tuple(runs) for place, runs in running.items()},
        waiting=waiting,
        past=cluster.past.of(own),
    )
