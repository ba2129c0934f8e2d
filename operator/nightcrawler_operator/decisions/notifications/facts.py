"""What a message is about, before it is put into the words of a channel. Pure.

Parameters, variables and logs are not part of it: they may hold what their receiver must not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from nightcrawler_crds import names, words
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.scheduleviews import OutcomeView
from nightcrawler_crds.kube.views import ExecutionView, StepStatusView, WorkflowView
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.notifications.outbox import LATE_AT, RETRY, SKIP, NoticeName
from nightcrawler_operator.decisions.schedules.record import STARTED

_LONGEST: Final = 1_000
"""Characters of a message that is quoted."""
_MOST_STEPS: Final = 20
_PLACES: Final = ("{namespace}", "{workflow}", "{execution}")


@dataclass(frozen=True, slots=True)
class StepFact:
    """A step that failed, or is tried again."""

    name: str
    phase: str
    attempt: int
    message: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message is about. `title` is one line without a full stop; `detail` may be empty.

    `seconds` is how long the run took, or has taken so far. `times` are the scheduled times without a run,
    with the reason of each.
    """

    id: str
    event: str
    time: datetime
    namespace: str
    workflow: str
    name: str
    title: str
    detail: str = ""
    execution: str | None = None
    phase: str | None = None
    environment: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    progress: str | None = None
    steps: tuple[StepFact, ...] = ()
    times: tuple[OutcomeView, ...] = ()
    link: str | None = None


def link_to(public_url: str, namespace: str, workflow: str, execution: str | None) -> str | None:
    """The page of a run, or of a workflow; None if the installation has no public URL.

    With {workflow} or {execution} in it, `public_url` says where pages are; otherwise it is where the REST
    API is reached. A page of runs is none for a workflow, whose link then ends before the run's part.
    """
    if not public_url:
        return None
    if any(place in public_url for place in _PLACES):
        text = public_url if execution else public_url.partition("{execution}")[0].rstrip("/")
        for place, value in zip(_PLACES, (namespace, workflow, execution or ""), strict=True):
            text = text.replace(place, quote(value, safe=""))
        return text
    page = f"{public_url.rstrip('/')}/api/workflows/{quote(workflow, safe='')}"
    return f"{page}/executions/{quote(execution, safe='')}" if execution else page


def of_run(
    execution: ExecutionView,
    workflow: WorkflowView | None,
    about: NoticeName,
    notice: NoticeView,
    public_url: str,
    now: datetime,
) -> Facts:
    """What a message about a run says, as that run is now."""
    meta, status = execution.metadata, execution.status
    own = execution.spec.workflow_ref.name
    name = _display_name(workflow, own)
    end = status.completion_time
    seconds = None
    if status.start_time is not None:
        seconds = max(0.0, ((end or now) - status.start_time).total_seconds())
    step = status.steps.get(about.step) if about.event == RETRY else None
    title, detail = _of_event(about, name, execution, step, seconds)
    return Facts(
        id=names.notice_id(meta.uid, about.event, *((about.step, str(about.attempt)) if about.step else ())),
        event=about.event,
        time=notice.time or now,
        namespace=meta.namespace,
        workflow=own,
        name=name,
        title=title,
        detail=one_line(detail, _LONGEST),
        execution=meta.name,
        phase=status.phase or "Pending",
        environment=status.environment,
        started=status.start_time,
        ended=end,
        seconds=seconds,
        progress=status.progress,
        steps=tuple(_steps(execution, about))[:_MOST_STEPS],
        link=link_to(public_url, meta.namespace, own, meta.name),
    )


def of_times(workflow: WorkflowView, notice: NoticeView, public_url: str, now: datetime) -> Facts:
    """What a message about scheduled times says that did not run."""
    meta = workflow.metadata
    time = notice.time or now
    recent = workflow.status.schedule.recent if workflow.status.schedule else ()
    times = tuple(unreported(recent, notice.after, time))
    name = _display_name(workflow, meta.name)
    many = f"{len(times)} scheduled times" if len(times) != 1 else "a scheduled time"
    return Facts(
        id=names.notice_id(meta.uid, SKIP, to_wire(time)),
        event=SKIP,
        time=time,
        namespace=meta.namespace,
        workflow=meta.name,
        name=name,
        title=f"{name}: {many} did not run",
        detail="; ".join(in_words(one) for one in times),
        times=times,
        link=link_to(public_url, meta.namespace, meta.name, None),
    )


def unreported(
    recent: Sequence[OutcomeView], after: datetime | None, until: datetime
) -> Iterator[OutcomeView]:
    """The times without a run, from the last one that was reported up to this one."""
    for entry in recent:
        if is_reported(entry) and entry.time <= until and (after is None or entry.time > after):
            yield entry


def is_reported(entry: OutcomeView) -> bool:
    """Whether what became of a scheduled time is to be reported; not if a person has suspended it."""
    return entry.outcome != STARTED and entry.reason != conditions.SUSPENDED


def in_words(entry: OutcomeView) -> str:
    """A scheduled time without a run, in words."""
    why = f": {one_line(entry.message)}" if entry.message else ""
    return f"{to_wire(entry.time)} {entry.outcome} ({entry.reason}){why}"


def _display_name(workflow: WorkflowView | None, name: str) -> str:
    written = workflow.spec.get("displayName") if workflow is not None else None
    return one_line(written) if isinstance(written, str) and written.strip() else name


def _of_event(
    about: NoticeName, name: str, execution: ExecutionView, step: StepStatusView | None, seconds: float | None
) -> tuple[str, str]:
    """Title and detail."""
    status = execution.status
    after = f" after {lasted(seconds)}" if seconds is not None else ""
    match about.event:
        case "start":
            return f"{name} started", ""
        case "complete":
            return f"{name} completed{after}", ""
        case "fail":
            return f"{name} failed{after}", status.message or ""
        case "cancel":
            return f"{name} was cancelled{after}", status.message or ""
        case "late":
            return f"{name} is late: {LATE_AT:.0%} of its timeout are over", status.message or ""
        case _:
            title = f"{name}: attempt {about.attempt} of step {about.step!r} failed, and it is tried again"
            same = step is not None and step.phase == "Retrying" and step.attempt == about.attempt
            return title, (step.message or "") if step is not None and same else ""


def _steps(execution: ExecutionView, about: NoticeName) -> Iterator[StepFact]:
    for name, step in execution.status.steps.items():
        if step.phase == "Failed" or (about.event == RETRY and name == about.step):
            seconds = None
            if step.start_time is not None and step.completion_time is not None:
                seconds = (step.completion_time - step.start_time).total_seconds()
            yield StepFact(name, step.phase, step.attempt, one_line(step.message or "", _LONGEST), seconds)


def lasted(seconds: float) -> str:
    """A duration in words, to the second."""
    return words.format_duration_words(round(seconds))
