"""WorkflowExecution: one run of a Workflow."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1.base import (
    SERVER_DEFAULT,
    TIME,
    AnyJson,
    ApiModel,
    Condition,
    list_map,
    rule,
)
from nightcrawler_crds.v1alpha1.notifications import Notices

Phase = Literal["Pending", "Running", "Cancelling", "Completed", "Failed", "Cancelled"]
TraceLevel = Literal["min", "med", "debug"]
StepPhase = Literal["Pending", "Running", "Retrying", "Completed", "Failed", "Skipped", "Cancelled"]
DutyName = Literal["Schedule", "Notifications", "Logs", "Archive", "Trace"]

MAX_ATTEMPTS: Final = 16
"""Attempts of a step that are kept for the trace."""
MAX_POD_EVENTS: Final = 16

TERMINAL_STEP_PHASES: frozenset[str] = frozenset({"Completed", "Failed", "Skipped", "Cancelled"})


class WorkflowReference(ApiModel):
    """The workflow to run, in the execution's own namespace."""

    name: str = Field(
        min_length=1, max_length=names.MAX_WORKFLOW_NAME, description="metadata.name of the Workflow."
    )


class Trigger(ApiModel):
    """What created the execution."""

    type: Literal["Manual", "Schedule", "Rerun"] = Field(
        default="Manual",
        description="Manual: a user or program. Schedule: the schedule. Rerun: repeats an earlier run.",
    )
    scheduled_time: str | None = Field(
        default=None, description="The scheduled time (Schedule).", json_schema_extra=TIME
    )
    rerun_of: str | None = Field(
        default=None,
        max_length=names.MAX_EXECUTION_NAME,
        description="The execution that is repeated (Rerun).",
    )


class WorkflowExecutionSpec(ApiModel):
    """What to run, with which parameters. Immutable, except that `cancel` can be set to true once."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            "self == oldSelf || (self.cancel && !oldSelf.cancel)",
            "an execution cannot be changed, only cancelled (cancel: true, once); create a new one instead",
        )
    )

    workflow_ref: WorkflowReference = Field(description="The workflow to run, in the execution's namespace.")
    parameters: Annotated[dict[str, AnyJson], Field(max_length=128)] | None = Field(
        default=None, description="Values of the workflow's parameters: any JSON, 32 KiB in total."
    )
    environment: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="Environment to run in: name or alias. Not set: the workflow's first, else the default.",
    )
    revision: str | None = Field(
        default=None,
        pattern=names.DNS_LABEL_PATTERN,
        max_length=names.MAX_REVISION_NAME,
        description="The ControllerRevision of the workflow to run, such as the one that an earlier run "
        "names in its status. Not set: the workflow as it is.",
    )
    executor: str | None = Field(
        default=None, max_length=256, description="User who started the run; informational."
    )
    trigger: Trigger | None = Field(default=None, description="What created the execution.")
    cancel: bool = Field(
        default=False,
        description="true cancels the run; it cannot be set back to false.",
        json_schema_extra=SERVER_DEFAULT,  # the rule on the spec compares it, so it must be set
    )


class PlacementCandidate(ApiModel):
    """An Environment that came into question for a run, as it was when the run was placed."""

    environment: str = Field(max_length=253, description="metadata.name of the Environment.")
    wait: float | None = Field(
        default=None, description="Expected seconds until its first steps start there."
    )
    duration: float | None = Field(default=None, description="Expected seconds that it takes there.")
    cost: float | None = Field(default=None, description="Expected cost there.")
    currency: str | None = Field(default=None, max_length=3, description="Currency of the cost.")
    passed_over: str | None = Field(
        default=None, max_length=1024, description="Why it was not chosen, in a sentence."
    )


class Cost(ApiModel):
    """What a run has cost."""

    amount: float = Field(
        description="What its steps asked for, times the time that all their attempts ran, at the prices of "
        "the Environment when the run ended."
    )
    currency: str | None = Field(default=None, max_length=3, description="Currency of the prices.")


class UsageOf(ApiModel):
    """How much of something was used, in percent. More than 100 where nothing limits it."""

    average: int = Field(ge=0, description="Average over the time that was measured.")
    peak: int = Field(ge=0, description="Highest value that was measured.")


class Usage(ApiModel):
    """What a step used, in percent of what it asked for, else of its node. Not set: it was not measured."""

    cpu: UsageOf | None = Field(default=None, description="CPU.")
    memory: UsageOf | None = Field(default=None, description="Memory.")
    gpu: UsageOf | None = Field(default=None, description="GPUs: how busy they were.")


class ResourceUsage(ApiModel):
    """What a run used, in percent. Not set: it was not measured."""

    cpu: int | None = Field(default=None, ge=0, description="CPU.")
    memory: int | None = Field(default=None, ge=0, description="Memory.")
    gpu: int | None = Field(default=None, ge=0, description="GPUs.")


class PodEvent(ApiModel):
    """A Kubernetes Event about a Pod."""

    time: str = Field(description="When it happened.", json_schema_extra=TIME)
    reason: str = Field(max_length=128, description="Its reason, in one word.")
    message: str | None = Field(default=None, max_length=512, description="Its message.")


class AttemptStatus(ApiModel):
    """One attempt of a step that has ended, kept for the trace of the run."""

    number: int = Field(description="Its number, from 1.")
    created: str | None = Field(default=None, description="When its Job was created.", json_schema_extra=TIME)
    scheduled: str | None = Field(
        default=None, description="When its node accepted the Pod.", json_schema_extra=TIME
    )
    start_time: str | None = Field(
        default=None, description="When its container started.", json_schema_extra=TIME
    )
    completion_time: str | None = Field(default=None, description="When it finished.", json_schema_extra=TIME)
    exit_code: int | None = Field(default=None, description="Exit code of the step's container.")
    reason: str | None = Field(
        default=None, max_length=128, description="How it finished, in one word; not set if it completed."
    )
    node: str | None = Field(default=None, max_length=253, description="The node that it ran on.")
    events: list[PodEvent] | None = Field(
        default=None, max_length=MAX_POD_EVENTS, description="Events about its Pod (traceLevel debug)."
    )


class StepStatus(ApiModel):
    """Observed state of a step."""

    phase: StepPhase = Field(
        description="Pending: its Pod has not started. Running: it has. "
        "Retrying: an attempt failed, the next one is pending. "
        "Completed, Failed, Cancelled: finished. Skipped: never started, the run finished first."
    )
    attempt: int | None = Field(default=None, description="Number of the current or last attempt, from 1.")
    disruptions: int | None = Field(
        default=None,
        description="Attempts that the cluster ended, such as by an eviction; they do not count as retries.",
    )
    preemptions: int | None = Field(
        default=None,
        description="Disruptions that no limit applies to: preemptions by Pods of higher priority, and "
        "what happened while the environment was cordoned.",
    )
    earlier_seconds: int | None = Field(
        default=None, description="For how many seconds the containers of earlier attempts ran."
    )
    start_time: str | None = Field(
        default=None, description="When this attempt's container started.", json_schema_extra=TIME
    )
    completion_time: str | None = Field(
        default=None, description="When this attempt finished.", json_schema_extra=TIME
    )
    job_name: str | None = Field(default=None, description="The Job of this attempt.")
    exit_code: int | None = Field(default=None, description="Exit code of the step's container.")
    usage: Usage | None = Field(
        default=None,
        description="What this attempt used, if it was measured; set when it has finished.",
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
    )
    reason: str | None = Field(
        default=None, max_length=128, description="Why the step waits, or how it finished, in one word."
    )
    message: str | None = Field(default=None, max_length=4096, description="The reason in a sentence.")
    attempts: list[AttemptStatus] | None = Field(
        default=None,
        max_length=MAX_ATTEMPTS,
        description="Attempts that have ended, as traceLevel says; only the last ones, if there are many.",
    )


class WorkflowExecutionStatus(ApiModel):
    """Observed state of a run. Written by the operator only."""

    phase: Phase | None = Field(
        default=None,
        description="Pending, Running (its first Pod has started), then Completed or Failed; "
        "or Cancelling, then Cancelled.",
    )
    message: str | None = Field(
        default=None, max_length=4096, description="Why the run waits, or how it finished."
    )
    waiting_reason: str | None = Field(
        default=None,
        max_length=128,
        description="Why the run, or one of its steps, waits now, in one word: the reason that matters most, "
        "of a step or of a condition. message says it in a sentence. Not set while nothing waits.",
    )
    waiting_since: str | None = Field(
        default=None, description="Since when it waits, without a break.", json_schema_extra=TIME
    )
    environment: str | None = Field(default=None, description="metadata.name of the Environment.")
    revision: str | None = Field(
        default=None, description="The ControllerRevision with the workflow's spec that this run uses."
    )
    start_time: str | None = Field(
        default=None, description="When its first Pod started.", json_schema_extra=TIME
    )
    completion_time: str | None = Field(
        default=None, description="When the run finished.", json_schema_extra=TIME
    )
    progress: str | None = Field(default=None, description="Completed steps, of the total: 2/5.")
    trace_level: TraceLevel | None = Field(
        default=None, description="How much is recorded for the trace of the run; not set: nothing more."
    )
    placement: list[PlacementCandidate] | None = Field(
        default=None,
        max_length=64,
        description="The Environments among which environmentStrategy chose. "
        "The chosen one has no passedOver.",
    )
    cost: Cost | None = Field(
        default=None,
        description="What the run has cost, once it has ended. Not set where the Environment has no prices.",
    )
    resource_usage: ResourceUsage | None = Field(
        default=None,
        description="What the finished run used: the averages of its steps, weighed by time and request.",
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Accepted: whether it can run. Placed: where. Granted: under limits, whether it has a "
        "place of each, or waits in line. Finished: whether and how it finished. "
        "Succeeded: whether it finished with all steps completed. "
        "DutiesDone: False if something that the finished run owed was not done.",
        json_schema_extra=list_map("type"),
    )
    settled: bool | None = Field(
        default=None,
        description="false while a finished run has duties that are not done; then true. "
        "Not set if it has none.",
    )
    duties: list[DutyName] | None = Field(
        default=None,
        max_length=8,
        description="What is still to be done for a finished run before it is settled, and may be pruned.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    notifications: Notices | None = Field(
        default=None,
        description="What became of each message about this run, by <event>/<channel>; "
        "of a retry by retry/<channel>/<step>/<attempt that failed>.",
    )
    steps: Annotated[dict[str, StepStatus], Field(max_length=1000)] | None = Field(
        default=None, description="Observed state of each step, by its name."
    )
