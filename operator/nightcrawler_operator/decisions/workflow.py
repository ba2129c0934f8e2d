"""The status of a workflow: whether it can run, and its last run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.views import ProfileView, WorkflowView
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation import PodPolicy, profile_problems, wanted_by, workflow_problems
from nightcrawler_operator.decisions.notifications import outbox
from nightcrawler_operator.decisions.notifications.configured import configured
from nightcrawler_operator.decisions.notifications.targets import Targets
from nightcrawler_operator.decisions.status import condition, first_problem, merge_patch


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """What is known of a workflow's messages.

    `targets` are those of its namespace, None while they are unknown; `deliveries` what has become of
    messages and may not be recorded yet; `domains` those of addresses that may get e-mails.
    """

    targets: Targets | None = None
    domains: tuple[str, ...] = ()
    deliveries: Mapping[str, NoticeView] = field(default_factory=dict)


NO_FACTS: Final = NoticeFacts()
_NOTHING_DEFERRED: Final = (
    conditions.DEFERRED,
    "False",
    conditions.NOTHING_DEFERRED,
    "all that is set has effect",
)
"""No field of a workflow waits for a later release in this one."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The latest known execution of a workflow; it has no phase if it was deleted while it was live."""

    name: str
    phase: str | None
    created: datetime


def status_patch(
    workflow: WorkflowView,
    policy: PodPolicy,
    profiles: Collection[ProfileView] = (),
    *,
    active: int,
    last: LastRun | None,
    now: datetime,
    notices: NoticeFacts = NO_FACTS,
) -> dict[str, Any]:
    """The merge patch of a workflow's status; empty if nothing changes."""
    recorded = workflow.status
    generation = workflow.metadata.generation
    wanted = msgspec.structs.replace(
        recorded,
        observed_generation=generation,
        active=active,
        conditions=_conditions(workflow, policy, profiles, notices, now),
    )
    if recorded.notifications:
        known = outbox.merged(recorded.notifications, notices.deliveries)
        wanted = msgspec.structs.replace(wanted, notifications=dict(known))
    if last is not None and not (recorded.last_run_time and last.created < recorded.last_run_time):
        wanted = msgspec.structs.replace(
            wanted, last_run_time=last.created, last_execution=last.name, last_phase=last.phase
        )
    return merge_patch(recorded, wanted)


def _conditions(
    workflow: WorkflowView,
    policy: PodPolicy,
    profiles: Collection[ProfileView],
    notices: NoticeFacts,
    now: datetime,
) -> tuple[Condition, ...]:
    try:
        spec = WorkflowSpec.model_validate(workflow.spec, extra="ignore")
    except ValidationError as error:
        accepted = ("False", conditions.INVALID_SPEC, first_problem(error))
    else:
        problems = workflow_problems(spec, policy) or profile_problems(spec, profiles)
        accepted = ("True", conditions.VALID, _can_run(spec))
        if problems:
            accepted = ("False", problems[0].reason, "; ".join(p.message for p in problems[:5]))
    recorded, generation = workflow.status.conditions, workflow.metadata.generation
    said = [(conditions.ACCEPTED, *accepted), _NOTHING_DEFERRED]
    sendable = configured(wanted_by(workflow.spec), notices.targets, notices.domains)
    if sendable is not None:
        said.append((conditions.NOTIFICATIONS_CONFIGURED, *sendable))
    return tuple(condition(*one, recorded, now, generation) for one in said)


def _can_run(spec: WorkflowSpec) -> str:
    if spec.environments == []:
        return "it can run where a run says: its own list of environments is empty"
    return "it can run"
