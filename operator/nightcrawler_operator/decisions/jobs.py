"""Facts about the Jobs of a run, each together with its Pods: which may still run, which are finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.v1alpha1 import TERMINAL_STEP_PHASES
from nightcrawler_operator.decisions.pods import (
    has_company,
    is_live,
    lingers,
    may_run,
    step_termination,
    was_ended,
)
from nightcrawler_operator.plan import EndedJob, FreedPod, OldObject
from nightcrawler_operator.snapshot import Attempt, Snapshot


def live_jobs(snapshot: Snapshot) -> tuple[OldObject, ...]:
    """The Jobs of which anything may still run or start, including an injected side-car."""
    return _jobs(a for a in snapshot.attempts.values() if any(map(lingers, a.pods)) or may_go_on(a))


def unfinished_jobs(snapshot: Snapshot) -> tuple[OldObject, ...]:
    """The Jobs whose program may still run or start; the others are kept for their logs."""
    return _jobs(a for a in snapshot.attempts.values() if may_go_on(a))


def _jobs(attempts: Iterable[Attempt]) -> tuple[OldObject, ...]:
    return tuple(
        OldObject(attempt.job.metadata.name, attempt.job.metadata.uid)
        for attempt in attempts
        if attempt.job is not None and attempt.job.metadata.deletion_timestamp is None
    )


def orphaned_pods(snapshot: Snapshot) -> tuple[OldObject, ...]:
    """Live Pods that were orphaned when their Job was deleted: nobody else will end them."""
    return tuple(
        OldObject(pod.metadata.name, pod.metadata.uid)
        for attempt in snapshot.attempts.values()
        if attempt.job is None
        for pod in attempt.pods
        if (may_run(pod) or has_company(pod)) and pod.metadata.deletion_timestamp is None
    )


def is_quiet(snapshot: Snapshot) -> bool:
    """Whether every Pod has a final phase, and no Job may still create one."""
    return not any(
        any(map(is_live, a.pods)) or (a.job is not None and not job_over(a))
        for a in snapshot.attempts.values()
    )


def what_may_run(snapshot: Snapshot) -> str:
    """What may still run, in words: Pods, or a Job that may still create one; empty if nothing."""
    attempts = snapshot.attempts.values()
    pods = [p.metadata.name for a in attempts for p in a.pods if may_run(p) or has_company(p)]
    if pods:
        return f"these Pods were still there: {', '.join(pods[:10])}"
    return "a Job was still there" if any(a.job is not None and may_go_on(a) for a in attempts) else ""


def ended_jobs(attempts: Iterable[Attempt]) -> tuple[EndedJob, ...]:
    """Managed Jobs whose Pod has ended and whose final status is not written yet."""
    return tuple(ended for attempt in attempts if (ended := _unreported_end(attempt)) is not None)


def _unreported_end(attempt: Attempt) -> EndedJob | None:
    job = attempt.job
    if (
        job is None
        or not job.managed
        or attempt.end_reported
        or not attempt.pods
        or any(map(is_live, attempt.pods))
    ):
        return None
    if job.status.end is not None or job.metadata.deletion_timestamp is not None:
        return None
    pod = next((p for p in attempt.pods if p.status.phase == "Succeeded"), attempt.pods[0])
    started = pod.status.start_time or pod.metadata.creation_timestamp
    if started is None:
        return None
    end = step_termination(pod)
    finished = end.finished_at if end is not None and end.finished_at else started
    succeeded = pod.status.phase == "Succeeded" and not was_ended(pod, finished)
    return EndedJob(job.metadata.name, job.metadata.uid, succeeded, started, finished)


def freed_pods(
    attempts: Mapping[tuple[str, int], Attempt], recorded: Mapping[str, StepStatusView] | None
) -> tuple[FreedPod, ...]:
    """Deleted Pods that have ended and whose result is recorded.

    Only our finalizer keeps them, and a drain of their node waits for that. `recorded` is None for an
    execution that has ended: all its results are recorded.
    """
    return tuple(
        FreedPod(
            pod.metadata.name,
            pod.metadata.resource_version,
            tuple(f for f in pod.metadata.finalizers if f != names.JOB_TRACKING),
        )
        for which, attempt in attempts.items()
        if attempt.job is not None and attempt.job.managed and on_record(which, recorded)
        for pod in attempt.pods
        if pod.metadata.deletion_timestamp is not None
        and names.JOB_TRACKING in pod.metadata.finalizers
        and not is_live(pod)
    )


def on_record(which: tuple[str, int], recorded: Mapping[str, StepStatusView] | None) -> bool:
    """Whether the result of an attempt is recorded; in a run that has ended (None) all are."""
    if recorded is None:
        return True
    step, attempt = which
    status = recorded.get(step)
    if status is None or status.attempt < attempt:
        return False
    over = status.phase in TERMINAL_STEP_PHASES or status.phase == "Retrying"
    return over or status.attempt > attempt


def job_over(attempt: Attempt) -> bool:
    """Whether the attempt's Job creates no more Pods: it has ended, or its Pod has."""
    return _job_is_over(attempt) or (bool(attempt.pods) and not any(map(is_live, attempt.pods)))


def may_go_on(attempt: Attempt) -> bool:
    """Whether the attempt's program may still run or start; its Pod may take longer to end."""
    return any(map(may_run, attempt.pods)) or not (_job_is_over(attempt) or attempt.pods)


def _job_is_over(attempt: Attempt) -> bool:
    return attempt.job is None or attempt.job.status.end is not None
