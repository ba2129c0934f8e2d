"""WorkflowExecution: one run of a Workflow."""

from __future__ import annotations

from typing import Annotated, Literal

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

Phase = Literal["Pending", "Running", "Cancelling", "Completed", "Failed", "Cancelled"]
StepPhase = Literal["Pending", "Running", "Retrying", "Completed", "Failed", "Skipped", "Cancelled"]

TERMINAL_PHASES: frozenset[str] = frozenset({"Completed", "Failed", "Cancelled"})
"""Phases that never change again."""

TERMINAL_STEP_PHASES: frozenset[str] = frozenset({"Completed", "Failed", "Skipped", "Cancelled"})


class WorkflowReference(ApiModel):
    """The workflow to run, in the execution's own namespace."""

    name: str = Field(
        min_length=1, max_length=names.MAX_WORKFLOW_NAME, description="metadata.name of the Workflow."
    )


class Trigger(ApiModel):
    """What made the execution."""

    type: Literal["Manual", "Schedule", "Rerun"] = Field(
        default="Manual",
        description="Manual: a person or program. Schedule: the schedule. Rerun: an earlier run.",
    )
    scheduled_time: str | None = Field(
        default=None, description="The time it was scheduled for (Schedule).", json_schema_extra=TIME
    )
    rerun_of: str | None = Field(
        default=None, max_length=names.MAX_EXECUTION_NAME, description="The earlier execution (Rerun)."
    )


class WorkflowExecutionSpec(ApiModel):
    """What to run and with which values. Immutable, but that `cancel` may become true, once."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            "self == oldSelf || (self.cancel && !oldSelf.cancel)",
            "an execution cannot be changed, only cancelled (cancel: true, once); create a new one instead",
        )
    )

    workflow_ref: WorkflowReference = Field(description="The workflow to run, in the execution's namespace.")
    parameters: Annotated[dict[str, AnyJson], Field(max_length=128)] | None = Field(
        default=None, description="Values of the workflow's parameters: any JSON each, 32 KiB in all."
    )
    environment: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="Where to run, by name or alias; not set: the workflow's first, else the default one.",
    )
    executor: str | None = Field(default=None, max_length=256, description="Who runs it, for people.")
    trigger: Trigger | None = Field(default=None, description="What made the execution.")
    cancel: bool = Field(
        default=False,
        description="true ends the run; it never goes back to false.",
        json_schema_extra=SERVER_DEFAULT,  # the rule on the spec compares it, and needs it to be there
    )


class StepStatus(ApiModel):
    """What is recorded of a step."""

    phase: StepPhase = Field(
        description="Pending: its Pod has not started. Running: it has. "
        "Retrying: failed, the next attempt is to come. "
        "Completed, Failed, Cancelled: ended. Skipped: never begun, for the run had ended."
    )
    attempt: int | None = Field(default=None, description="Number of the current or last attempt, from 1.")
    disruptions: int | None = Field(
        default=None, description="Attempts that the cluster ended, not the program; they use up no retry."
    )
    start_time: str | None = Field(
        default=None, description="When this attempt's container started.", json_schema_extra=TIME
    )
    completion_time: str | None = Field(
        default=None, description="When this attempt ended.", json_schema_extra=TIME
    )
    job_name: str | None = Field(default=None, description="The Job of this attempt.")
    exit_code: int | None = Field(default=None, description="Exit code of the step's container.")
    reason: str | None = Field(
        default=None, max_length=128, description="One word for why it waits or how it ended."
    )
    message: str | None = Field(default=None, max_length=4096, description="The same in a sentence.")


class WorkflowExecutionStatus(ApiModel):
    """How far the run is. Written by the operator only."""

    phase: Phase | None = Field(
        default=None,
        description="Pending, Running (its first Pod has started), then Completed or Failed; "
        "or Cancelling, then Cancelled.",
    )
    message: str | None = Field(default=None, max_length=4096, description="Why it waits, or how it ended.")
    environment: str | None = Field(default=None, description="metadata.name of the Environment it runs in.")
    revision: str | None = Field(
        default=None, description="The ControllerRevision that holds what this run uses."
    )
    start_time: str | None = Field(
        default=None, description="When its first Pod started.", json_schema_extra=TIME
    )
    completion_time: str | None = Field(default=None, description="When it ended.", json_schema_extra=TIME)
    progress: str | None = Field(default=None, description="Steps completed, of all: 2/5.")
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Accepted: whether it can run. Placed: where. Finished: whether and how it ended.",
        json_schema_extra=list_map("type"),
    )
    steps: Annotated[dict[str, StepStatus], Field(max_length=1000)] | None = Field(
        default=None, description="What is recorded of each step, by its name."
    )
