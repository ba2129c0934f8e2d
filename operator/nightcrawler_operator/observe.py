"""From the caches to one frozen Snapshot, with the time in it."""

from __future__ import annotations

from collections.abc import Iterable

from nightcrawler_crds import names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.views import ExecutionView, JobView, PodView, WorkflowView
from nightcrawler_operator.builders import revision as revisions
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Attempt, Revision, Snapshot
from nightcrawler_operator.world import Findings, World

_NOTHING_FOUND = Findings()


def observe(world: World, execution: ExecutionView, limits: Limits) -> Snapshot:
    """Everything a decision on this execution may look at, as it is known now."""
    meta = execution.metadata
    workflow = world.workflows.get((meta.namespace, execution.spec.workflow_ref.name))
    attempts = attempts_of(world, meta.uid, meta.namespace)
    named = execution.status.revision or _revision_of_jobs(attempts)
    if named:
        revision = world.revisions.get((meta.namespace, named))
        if revision is None and workflow is not None:
            # Most often the workflow is still what it was when the run began.
            live = live_revision(world, workflow)
            revision = live if live is not None and live.name == named else None
    else:
        revision = live_revision(world, workflow) if workflow is not None else None
    findings = world.findings.get(meta.uid, _NOTHING_FOUND)
    return Snapshot(
        now=utcnow(),
        execution=execution,
        limits=limits,
        workflow=workflow,
        revision=revision,
        named_revision=named,
        lost_revision=bool(named) and (meta.namespace, named) in world.lost_revisions,
        environments=tuple(world.environments),
        nodes=world.node_facts,
        attempts=attempts,
        events=findings.events,
        absent=findings.absent,
        refusals=findings.refusals,
        fresh=findings.fresh,
        fresh_environments=findings.fresh_environments,
        recorded_at=world.recorded_at.get(meta.uid),
        completed=findings.completed,
    )


def live_revision(world: World, workflow: WorkflowView) -> Revision | None:
    """The revision of a workflow as it is now; None if it cannot be read."""
    key = (workflow.metadata.uid, workflow.metadata.generation)
    known = world.live_revisions.get(key)
    if known is None:
        try:
            known = revisions.revision_of(workflow)
        except ValueError:
            return None
        world.remember_live(key, known)
    return known


def attempts_of(world: World, uid: str, namespace: str) -> dict[tuple[str, int], Attempt]:
    """What the cluster has of an execution's attempts, by step and number."""
    jobs: dict[tuple[str, int], JobView] = {}
    pods: dict[tuple[str, int], list[PodView]] = {}
    for job in world.jobs_of.get(uid, {}).values():
        # Labels are anybody's to copy; an owner's UID, which holds within a namespace, is not.
        owners = job.metadata.owner_references
        if job.metadata.namespace == namespace and any(owner.uid == uid for owner in owners):
            jobs[_which(job)] = job
    for pod in world.pods_of.get(uid, {}).values():
        which = _which(pod)
        if pod.metadata.namespace == namespace and _belongs(pod, jobs.get(which), uid, which):
            pods.setdefault(which, []).append(pod)
    return {which: _attempt(world, jobs.get(which), pods.get(which, ())) for which in {**jobs, **pods}}


def _attempt(world: World, job: JobView | None, pods: Iterable[PodView]) -> Attempt:
    uid = job.metadata.uid if job is not None else ""
    return Attempt(job, tuple(pods), lost=uid in world.lost_pods, told=uid in world.untold)


def _belongs(pod: PodView, job: JobView | None, uid: str, which: tuple[str, int]) -> bool:
    """Whether a Pod that says so is of this attempt; where the Job is gone, its name has to do."""
    if job is None:
        labels = pod.metadata.labels
        return labels.job_name == names.child_name(labels.execution, uid, *which)
    return any(owner.uid == job.metadata.uid for owner in pod.metadata.owner_references)


def _which(child: JobView | PodView) -> tuple[str, int]:
    marks = child.metadata.annotations
    return marks.step, marks.attempt_number


def _revision_of_jobs(attempts: dict[tuple[str, int], Attempt]) -> str | None:
    """The revision that Jobs name whose making nobody got to record."""
    named = (a.job.metadata.annotations.revision for a in attempts.values() if a.job is not None)
    return next((name for name in named if name), None)
