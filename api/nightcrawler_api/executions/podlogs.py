"""Logs of an execution's steps, from the Pods of their last attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from nightcrawler_api.executions.loglines import parse_log
from nightcrawler_api.executions.schemas import LogLine
from nightcrawler_api.state.statuses import step_status
from nightcrawler_crds.errors import ApiError, Invalid, NotFound
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, StepStatusView
from nightcrawler_crds.masking import NOTHING_HIDDEN, Mask
from nightcrawler_crds.names import LABEL_EXECUTION_UID, PODS, STEP_CONTAINER
from nightcrawler_crds.plaintext import one_line

MAX_LINES: Final = 1000
MAX_BYTES_OF_STEP: Final = 1 << 20
MAX_BYTES: Final = 8 << 20
"""Of the logs in one response; lines have no maximum length."""
_WITHIN_SECONDS: Final = 10.0
_AT_ONCE: Final = 8

StepLog = tuple[Sequence[LogLine], str]

GONE: Final = "the Pod of this step is gone, and its log with it"
NO_LOG: Final[StepLog] = ((), GONE)
NOT_YET: Final = "the Pod of this step has not started yet"
NEVER: Final = "no Pod of this step has started, and there is no log"
TOO_SLOW: Final = "the log did not come in time; ask again, or read it with kubectl logs"


async def read_logs(
    store: Store,
    execution: ExecutionView,
    steps: Iterable[str],
    mask: Mask = NOTHING_HIDDEN,
    *,
    within: float = _WITHIN_SECONDS,
) -> dict[str, StepLog]:
    """The last log lines of each step, and why they are missing or truncated.

    Logs are read from the nodes, and a node may be unavailable: that is reported for the step, and does not
    prevent the rest of the execution from being shown. `mask` hides values of Secrets; `within` is in
    seconds, for all.
    """
    wanted = list(steps)
    if not wanted:
        return {}
    deadline = asyncio.get_running_loop().time() + within
    try:
        async with asyncio.timeout_at(deadline):
            pods = await store.list_all(
                PODS,
                execution.metadata.namespace,
                PodView,
                label_selector=f"{LABEL_EXECUTION_UID}={execution.metadata.uid}",
            )
    except TimeoutError:
        return dict.fromkeys(wanted, ((), TOO_SLOW))
    except ApiError as error:
        return dict.fromkeys(wanted, ((), _unreadable(error)))
    share = min(MAX_BYTES_OF_STEP, MAX_BYTES // len(wanted))
    turns = asyncio.Semaphore(_AT_ONCE)

    async def read(name: str) -> StepLog:
        step = execution.status.steps[name]
        pod = pod_of(name, step, pods)
        if pod is None:
            return (), why_no_pod(step)
        try:
            async with asyncio.timeout_at(deadline), turns:
                return await _read_one(store, pod, share, mask)
        except TimeoutError:
            return (), TOO_SLOW

    return dict(zip(wanted, await asyncio.gather(*map(read, wanted)), strict=True))


def why_no_pod(step: StepStatusView | None) -> str:
    """Why there is no Pod of a step's last attempt."""
    if step is None:
        return NEVER
    if step.start_time is not None:
        return GONE
    return NOT_YET if step_status(step) == "running" else NEVER


async def read_attempt(
    store: Store, execution: ExecutionView, step: str, attempt: int, mask: Mask
) -> StepLog:
    """The last log lines of one attempt of a step, and why they are missing or truncated."""
    try:
        async with asyncio.timeout(_WITHIN_SECONDS):
            pod = await pod_of_attempt(store, execution, step, attempt)
            if pod is None:
                return (), why_no_pod(execution.status.steps.get(step))
            return await _read_one(store, pod, MAX_BYTES_OF_STEP, mask)
    except TimeoutError:
        return (), TOO_SLOW
    except ApiError as error:
        return (), _unreadable(error)


async def pod_of_attempt(store: Store, execution: ExecutionView, step: str, attempt: int) -> PodView | None:
    """The Pod of one attempt of a step, the newest if there are several; None if there is none."""
    meta = execution.metadata
    pods = await store.list_all(
        PODS, meta.namespace, PodView, label_selector=f"{LABEL_EXECUTION_UID}={meta.uid}"
    )
    recorded = execution.status.steps.get(step)
    job = recorded.job_name if recorded is not None and recorded.attempt == attempt else None
    own = [
        pod
        for pod in pods
        if (pod.metadata.annotations.step == step and pod.metadata.annotations.attempt_number == attempt)
        or (job is not None and pod.metadata.labels.job_name == job)
    ]
    return max(own, key=lambda pod: str(pod.metadata.creation_timestamp), default=None)


def pod_of(name: str, step: StepStatusView, pods: Iterable[PodView]) -> PodView | None:
    """The Pod of a step's last attempt, by the Job in the execution's status, else by its annotations."""
    candidates = [
        pod
        for pod in pods
        if (
            pod.metadata.labels.job_name == step.job_name
            if step.job_name
            else pod.metadata.annotations.step == name
        )
    ]
    return max(candidates, key=_attempt, default=None)


def _attempt(pod: PodView) -> tuple[int, str]:
    return (pod.metadata.annotations.attempt_number, str(pod.metadata.creation_timestamp))


async def _read_one(store: Store, pod: PodView, max_bytes: int, mask: Mask) -> StepLog:
    meta = pod.metadata
    try:
        text, whole = await store.logs(
            meta.namespace, meta.name, container=STEP_CONTAINER, tail_lines=MAX_LINES, max_bytes=max_bytes
        )
    except NotFound:
        return (), GONE
    except Invalid as error:
        # "container … is waiting to start": there is nothing to read yet.
        return (), NOT_YET if pod.status.phase == "Pending" else _unreadable(error)
    except ApiError as error:
        return (), _unreadable(error)
    return parse_log(
        text, mask
    ), "" if whole else f"only the last {max_bytes // 1024} KiB of this log are shown"


def _unreadable(error: ApiError) -> str:
    return f"the log cannot be read now: {one_line(str(error))}"


def has_terminated(pod: PodView) -> bool:
    """Whether the step's container has, so that its log is complete."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return True
    states = (c.state for c in pod.status.container_statuses if c.name == STEP_CONTAINER)
    return any(state.terminated is not None for state in states)


def has_begun(pod: PodView) -> bool:
    """Whether the step's container runs or has terminated, so that there is, or was, a log."""
    return any(c.state.has_begun for c in pod.status.container_statuses if c.name == STEP_CONTAINER)


def began_at(pod: PodView) -> datetime | None:
    """When the step's container started, to the second; None if it has not, or nobody knows."""
    state = next((c.state for c in pod.status.container_statuses if c.name == STEP_CONTAINER), None)
    begun = None if state is None else state.running or state.terminated
    return None if begun is None else begun.started_at
