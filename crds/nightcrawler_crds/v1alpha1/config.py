"""`spec.config` of a Workflow: nested exactly as the REST API has it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from nightcrawler_crds.v1alpha1.base import (
    TIME,
    ApiModel,
    Cpu,
    Duration,
    Gpu,
    Memory,
    Retries,
    Timeout,
    rule,
)
from nightcrawler_crds.v1alpha1.notifications import NOTICE_EVENTS

ConcurrencyPolicy = Literal["Forbid", "Allow", "Replace"]

ADDRESS_PATTERN: Final = r"^[!#-'*+/-9=?A-Z^-~-]+(\.[!#-'*+/-9=?A-Z^-~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
"""An e-mail address in ASCII, without quotes, comments or a display name."""


class Resources(ApiModel):
    """Resources of a container. Nothing is requested that is not set."""

    cpu: Cpu | None = Field(default=None, description="CPU requested: 16, '16 cores', 0.5, '500m' or None.")
    cpu_limit: Cpu | None = Field(
        default=None,
        description="CPU limit, written like cpu and not below it; None: no limit. "
        "Not set: the Environment's cpuLimit applies. Without cpu, the limit is also the request.",
    )
    memory: Memory | None = Field(
        default=None,
        description="Memory, as request and limit: '64 GB' (10^9 bytes each), '64Gi' (2^30) or None.",
    )
    gpu: Gpu | None = Field(
        default=None,
        description="Whole GPUs: 8, '8x NVIDIA A100' (only nodes with that model) or None.",
    )


class StepResources(Resources):
    """Resources of a step; they override those in `config`, and `None` removes one."""

    ephemeral_storage: Memory | None = Field(
        default=None,
        description="Scratch space on the node, as request, limit and a volume at /scratch: '200 GB'.",
    )


class Storage(ApiModel):
    """Disk space."""

    persistent_volume: Memory | None = Field(
        default=None, description="A volume that the steps of a run share, at /workspace: '500 GB'."
    )
    retain: bool | None = Field(
        default=None,
        description="Whether that volume is kept when the run's Jobs are deleted, and the run itself; "
        "then it is yours to delete.",
    )
    ephemeral_storage: Memory | None = Field(
        default=None, description="Scratch space of each step, at /scratch: request and limit, '200 GB'."
    )


class Notifications(ApiModel):
    """Notification channels."""

    email: bool | None = Field(default=None, description="By e-mail.")
    slack: bool | None = Field(default=None, description="In Slack.")
    webhook: bool | None = Field(
        default=None, description="By a webhook: a CloudEvent, signed as Standard Webhooks."
    )
    email_to: list[Annotated[str, Field(min_length=3, max_length=254, pattern=ADDRESS_PATTERN)]] | None = (
        Field(
            default=None,
            max_length=20,
            description="Recipients of e-mails. Not set: those of the installation, or of the namespace.",
        )
    )


class Schedule(ApiModel):
    """When runs start automatically."""

    type: Literal["cron", "interval"] = Field(
        description="cron or interval; the field of that name has the times."
    )
    cron: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Cron expression: '0 0 * * 1', or @hourly, @daily, @weekly, @monthly, @yearly.",
    )
    interval: Timeout | None = Field(
        default=None, description="Time from one start to the next: '6 hours'; at least 10 seconds."
    )
    description: str | None = Field(default=None, max_length=1024, description="The schedule in words.")
    skip_on_failure: bool | None = Field(
        default=None, description="Whether a failed run makes the schedule skip exactly one run."
    )
    catch_up: bool | None = Field(
        default=None, description="Whether missed runs are made up for, oldest first, one at a time."
    )
    time_zone: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Time zone of the cron expression: 'Europe/Berlin'. "
        "Default: the installation's setting, UTC.",
    )
    starting_deadline: Timeout | None = Field(
        default=None,
        description="How late a run may start without catchUp: '10 minutes'. "
        "Default: half the time to the next one, at most an hour.",
    )
    concurrency_policy: ConcurrencyPolicy | None = Field(
        default=None,
        description="What happens while the last scheduled run is still running. Forbid, the default: "
        "the time is skipped, with catchUp it waits; Allow: both run; Replace: the earlier one is cancelled.",
    )
    start: str | None = Field(
        default=None,
        max_length=64,
        description="No run before: '2025-07-10T14:45:00Z'. An interval counts from it.",
        json_schema_extra=TIME,
    )
    end: str | None = Field(
        default=None,
        max_length=64,
        description="No run after: '2025-12-31T23:59:59Z'.",
        json_schema_extra=TIME,
    )


class Permission(ApiModel):
    """The permissions of a role."""

    role: str = Field(min_length=1, max_length=128, description="Name of the role: 'Data Scientist'.")
    access: str = Field(
        min_length=1,
        max_length=128,
        description="What it allows, in any case and order: 'Full Access', 'View Only', or any of View, "
        "Execute, Edit and Delete: 'Execute, Edit'. Each allows View.",
    )


class Security(ApiModel):
    """Who may see, change and run a workflow."""

    visibility: Literal["Private", "Team", "Public"] | None = Field(
        default=None,
        description="Who sees the workflow over REST: its creator and administrators (Private), its "
        "namespace's team too (Team), or everyone who signs in (Public). Not set: Team. Without identity "
        "everyone sees it. Users of kubectl see what RBAC allows.",
    )
    audit_logging: bool | None = Field(
        default=None, description="Whether reads over REST are recorded too; changes always are."
    )
    secure_secrets: bool | None = Field(
        default=None,
        description="Whether secrets are kept out of the definition, logs and status: values that look like "
        "secrets are refused unless they come from a Secret.",
    )
    permissions: list[Permission] | None = Field(
        default=None,
        max_length=64,
        description="What each role may do. If there are any, they alone decide what people other than the "
        "creator and administrators may do, beside seeing the workflow by its visibility.",
    )


class WorkflowConfig(ApiModel):
    """How steps run. Every field is optional, and none is defaulted."""

    timeout: Timeout | None = Field(
        default=None,
        description="Timeout of a run, from the start of its first Pod: '2 hours'. Default: 7 days.",
    )
    retries: Retries | None = Field(
        default=None, description="How often a failed step is retried; 3 means at most four attempts."
    )
    retry_delay: Duration | None = Field(
        default=None, description="Time between a failure and the next attempt: '30 seconds', the default."
    )
    compute_profile: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="displayName or name of a ComputeProfile, whose values apply where neither the "
        "workflow nor the step sets any; None: no profile.",
    )
    resources: Resources | None = Field(
        default=None, description="Resources of each step, unless the step overrides them."
    )
    storage: Storage | None = Field(default=None, description="Disk space.")
    notifications: Notifications | None = Field(default=None, description="Notification channels.")
    # Not a Literal: a running execution must be able to read its revision, whatever is refused now.
    notification_events: (
        list[Annotated[str, Field(max_length=64, json_schema_extra={"enum": list(NOTICE_EVENTS)})]] | None
    ) = Field(
        default=None,
        max_length=16,
        description="Events that are notified: start, complete, fail, cancel, skip (a scheduled time did not "
        "run), retry (a step is tried again), late (80 % of the timeout are over). Not set: fail. "
        "fail includes scheduled times that did not run.",
    )
    schedule: Schedule | None = Field(
        default=None,
        description="When runs start automatically.",
        json_schema_extra=rule(
            # dyn(), because CEL does not see fields without a type, such as words.
            "self.type == 'cron' ? has(self.cron) : has(dyn(self).interval)",
            "a schedule of type cron needs the field cron, one of type interval the field interval",
        ),
    )
    security: Security | None = Field(
        default=None,
        description="Who may see, change and run the workflow over REST; how secrets are handled.",
    )
