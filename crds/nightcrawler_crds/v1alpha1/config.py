"""`spec.config` of a Workflow: nested exactly as the REST API has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nightcrawler_crds.v1alpha1.base import (
    LISTED_LATER,
    ApiModel,
    Cpu,
    Duration,
    Gpu,
    Memory,
    Retries,
    Timeout,
    rule,
)


class Resources(ApiModel):
    """What a container gets. What nobody writes is not asked for."""

    cpu: Cpu | None = Field(default=None, description="CPU requested: 16, '16 cores', 0.5, '500m' or None.")
    cpu_limit: Cpu | None = Field(
        default=None,
        description="Most CPU that a step may use: words as for cpu, and not less than that; None: no limit. "
        "Not set: what the Environment says. Without cpu, the limit is asked for too.",
    )
    memory: Memory | None = Field(
        default=None,
        description="Memory, as request and limit: '64 GB' (10^9 bytes each), '64Gi' (2^30) or None.",
    )
    gpu: Gpu | None = Field(
        default=None,
        description="GPUs, whole ones: 8, '8x NVIDIA A100' (a model picks the nodes that have it) or None.",
    )


class StepResources(Resources):
    """What a step gets, over what `config` says for all steps; `None` takes an amount away again."""

    ephemeral_storage: Memory | None = Field(
        default=None,
        description="Scratch space on the node, as request, limit and a volume at /scratch: '200 GB'.",
    )


class Storage(ApiModel):
    """Disk space."""

    persistent_volume: Memory | None = Field(
        default=None, description="A volume shared by the steps of a run: '500 GB'." + LISTED_LATER
    )
    ephemeral_storage: Memory | None = Field(
        default=None, description="Scratch space of each step, at /scratch: request and limit, '200 GB'."
    )


class Notifications(ApiModel):
    """Where a run is told of."""

    email: bool | None = Field(default=None, description="By e-mail.")
    slack: bool | None = Field(default=None, description="In Slack.")
    webhook: bool | None = Field(default=None, description="By a webhook.")


class Schedule(ApiModel):
    """When runs start by themselves."""

    type: Literal["cron", "interval"] = Field(
        description="cron or interval; the field of that name says when."
    )
    cron: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Cron's five fields, '0 0 * * 1', or @hourly, @daily, @weekly, @monthly, @yearly.",
    )
    interval: Timeout | None = Field(
        default=None, description="Time from start to start: '6 hours'; at least 10 seconds."
    )
    description: str | None = Field(
        default=None, max_length=1024, description="The same in words, for people."
    )
    skip_on_failure: bool | None = Field(
        default=None, description="After a failed run, skip exactly the next one."
    )
    catch_up: bool | None = Field(
        default=None, description="Run what was missed, oldest first, one at a time."
    )


class Permission(ApiModel):
    """What a role may do."""

    role: str = Field(min_length=1, max_length=128, description="Name of the role: 'Data Scientist'.")
    access: str = Field(min_length=1, max_length=128, description="What it may: 'Execute, Edit'.")


class Security(ApiModel):
    """Who may see, change and run a workflow."""

    visibility: Literal["Private", "Team", "Public"] | None = Field(
        default=None, description="Who sees the workflow."
    )
    audit_logging: bool | None = Field(default=None, description="Whether changes and runs are audited.")
    secure_secrets: bool | None = Field(default=None, description="Whether Secrets are kept from logs.")
    permissions: list[Permission] | None = Field(
        default=None, max_length=64, description="What each role may do."
    )


class WorkflowConfig(ApiModel):
    """How steps run; everything may be left out, and what is left out stays so."""

    timeout: Timeout | None = Field(
        default=None,
        description="Longest time of a run, from the start of its first Pod: '2 hours'. Default: 24 hours.",
    )
    retries: Retries | None = Field(
        default=None, description="How often a failed step is tried again; 3 means at most four attempts."
    )
    retry_delay: Duration | None = Field(
        default=None, description="Time between a failure and the next attempt: '30 seconds', the default."
    )
    compute_profile: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="displayName or name of a ComputeProfile." + LISTED_LATER,
    )
    resources: Resources | None = Field(
        default=None, description="What each step gets unless it says otherwise."
    )
    storage: Storage | None = Field(default=None, description="Disk space.")
    notifications: Notifications | None = Field(
        default=None, description="Where a run is told of." + LISTED_LATER
    )
    notification_events: list[Annotated[str, Field(max_length=64)]] | None = Field(
        default=None, max_length=16, description="What is told: start, complete, fail." + LISTED_LATER
    )
    schedule: Schedule | None = Field(
        default=None,
        description="When runs start by themselves." + LISTED_LATER,
        json_schema_extra=rule(
            # dyn(), because CEL is told of no field that is a word: it has no one type.
            "self.type == 'cron' ? has(self.cron) : has(dyn(self).interval)",
            "a schedule of type cron needs the field cron, one of type interval the field interval",
        ),
    )
    security: Security | None = Field(
        default=None, description="Who may see, change and run it." + LISTED_LATER
    )
