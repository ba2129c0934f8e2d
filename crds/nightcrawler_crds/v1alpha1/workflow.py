"""Workflow: what to run."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from nightcrawler_crds.v1alpha1.base import (
    TIME,
    AnyJson,
    ApiModel,
    Condition,
    Duration,
    EnvVar,
    FreeForm,
    MaxRunning,
    Retries,
    Timeout,
    list_map,
    rule,
)
from nightcrawler_crds.v1alpha1.config import StepResources, WorkflowConfig
from nightcrawler_crds.v1alpha1.execution import TraceLevel
from nightcrawler_crds.v1alpha1.notifications import Notices

MAX_STEPS: Final = 1000
MAX_SPEC_BYTES: Final = 256 * 1024
MAX_PARAMETERS_BYTES: Final = 32 * 1024

Priority = Literal["low", "medium", "high", "critical"]
EnvironmentStrategy = Literal["start", "time", "cost"]
Order = Literal["Sequence", "Graph"]

_STEP_NAME = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
StepName = Annotated[str, Field(min_length=1, max_length=100, pattern=_STEP_NAME)]
Argument = Annotated[str, Field(max_length=131072)]


class Parameter(ApiModel):
    """A parameter that runs can set."""

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        min_length=1,
        max_length=128,
        description="Name; steps read the value from the environment variable PARAM_<name>.",
    )
    default: AnyJson = Field(default=None, description="The value if a run sets none: any JSON.")
    required: bool | None = Field(
        default=None, description="Whether a run must set a value; not needed if there is a default."
    )
    description: str | None = Field(default=None, max_length=4096, description="Description.")


class Options(ApiModel):
    """Options."""

    enable_notifications: bool | None = Field(
        default=None,
        description="true: by the channels of config.notifications, and by those that it leaves out and for "
        "which there is a target; false: no notifications; not set: by those that are true.",
    )
    enable_logging: bool | None = Field(
        default=None,
        description="Whether logs are kept after the Pods are deleted, where the installation keeps logs. "
        "Not set: they are.",
    )
    enable_retry: bool | None = Field(
        default=None,
        description="true: config.retries, or 3 if that is not set; false: no retries; "
        "not set: config.retries, or none.",
    )


class History(ApiModel):
    """How many finished executions are kept; the oldest are deleted first."""

    completed: Annotated[int, Field(ge=0, le=10000)] | None = Field(
        default=None, description="Completed executions kept. Default: the installation's setting, 10."
    )
    failed: Annotated[int, Field(ge=0, le=10000)] | None = Field(
        default=None,
        description="Failed and cancelled executions kept. Default: the installation's setting, 10.",
    )


class Step(ApiModel):
    """One container that runs to completion."""

    name: StepName = Field(
        description="Name, unique in the workflow: 'Model Training'. One line of at most 100 characters.",
        json_schema_extra=rule(
            f"self.matches(r'{_STEP_NAME}')",
            "a step's name is one line that neither begins nor ends with a space",
        ),
    )
    image: str = Field(
        min_length=1, max_length=512, description="Container image: 'python:3.11-slim-bookworm'."
    )
    command: list[Argument] | None = Field(
        default=None,
        max_length=1024,
        description="Entrypoint; the image's if not set. $(PARAM_x) is expanded.",
    )
    args: list[Argument] | None = Field(
        default=None, max_length=1024, description="Arguments. $(PARAM_x) is expanded."
    )
    working_dir: str | None = Field(default=None, max_length=4096, description="Working directory.")
    env: list[EnvVar] | None = Field(
        default=None,
        max_length=512,
        description="Environment variables, after the parameters' PARAM_<name>.",
    )
    env_from: list[FreeForm] | None = Field(
        default=None,
        max_length=64,
        description="Secrets and ConfigMaps whose keys become environment variables.",
    )
    compute_profile: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Overrides config.computeProfile for this step; None: no profile.",
    )
    resources: StepResources | None = Field(
        default=None, description="Resources of the step; they override config.resources."
    )
    timeout: Timeout | None = Field(
        default=None,
        description="Timeout of one attempt, from the start of its container: '1h30m'. "
        "An attempt that exceeds it fails (TimedOut).",
    )
    retries: Retries | None = Field(default=None, description="Overrides config.retries for this step.")
    retry_delay: Duration | None = Field(
        default=None, description="Overrides config.retryDelay for this step."
    )
    depends_on: list[StepName] | None = Field(
        default=None,
        max_length=MAX_STEPS,
        description="Steps that must be Completed before this one starts (order Graph).",
    )
    nodes: int | None = Field(
        default=None,
        ge=1,
        description="Number of nodes that run the step together; more than 1 is not supported yet.",
        json_schema_extra=rule("self <= 1", "a step on several nodes is not supported yet: leave nodes out"),
    )
    pod_template: FreeForm | None = Field(
        default=None,
        description="A PodTemplateSpec merged into the step's Pod. The step's container is named 'step'; "
        "sidecars are initContainers with restartPolicy Always.",
    )


class WorkflowSpec(ApiModel):
    """What to run, where, in which order, and with which resources. Applying a Workflow runs nothing."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            "!has(self.order) || self.order != 'Sequence' || !has(self.steps) "
            "|| !self.steps.exists(step, has(step.dependsOn) && size(step.dependsOn) > 0)",
            "a step has dependsOn, but order is Sequence; leave one of them out, or set order: Graph",
            about="order",
        )
    )

    display_name: str | None = Field(default=None, min_length=1, max_length=256, description="Display name.")
    description: str | None = Field(default=None, max_length=4096, description="Description.")
    priority: Priority | None = Field(default=None, description="Priority of its Pods; medium if not set.")
    tags: list[Annotated[str, Field(min_length=1, max_length=128)]] | None = Field(
        default=None, max_length=64, description="Tags for searching."
    )
    environments: list[Annotated[str, Field(min_length=1, max_length=253)]] | None = Field(
        default=None,
        max_length=64,
        description="Environments, by name or alias; the first that is not cordoned is used, unless "
        "environmentStrategy is set. Not set: the default Environment, or all with a strategy. Empty list: "
        "none, so each run must name one.",
    )
    environment_strategy: EnvironmentStrategy | None = Field(
        default=None,
        description="How an environment is chosen among those listed, or among all if none is listed: where "
        "the run starts first, where it ends first, or where it costs least. Not set: the first one.",
    )
    trace_level: TraceLevel | None = Field(
        default=None,
        description="Traces of runs. min: the run and its steps; med: also attempts, waits and usage; debug: "
        "also the Events of Pods, and NIGHTCRAWLER_LOG_LEVEL=debug for steps. Steps get TRACEPARENT.",
    )
    options: Options | None = Field(default=None, description="Options.")
    parameters: list[Parameter] | None = Field(
        default=None,
        max_length=128,
        description="Parameters of a run; a workflow that declares none accepts any.",
        json_schema_extra=list_map("name"),
    )
    order: Order | None = Field(
        default=None,
        description="Sequence: steps run one after another, in list order. Graph: by dependsOn. "
        "Not set: Graph if any step has dependsOn, else Sequence.",
    )
    steps: list[Step] | None = Field(
        default=None,
        max_length=MAX_STEPS,
        description="Containers to run.",
        json_schema_extra=list_map("name"),
    )
    suspend: bool | None = Field(default=None, description="Whether the schedule is suspended.")
    max_running: MaxRunning | None = Field(
        default=None,
        description="How many runs of it may be under way at the same time. Further ones wait in line, by "
        "priority, then age. Not set: any number. A new value holds at once, also for runs that wait.",
    )
    history: History | None = Field(default=None, description="How many finished executions are kept.")
    config: WorkflowConfig | None = Field(default=None, description="How steps run.")

    @property
    def effective_order(self) -> Order:
        """The order that applies: the one set, else Graph if any step has dependsOn, else Sequence."""
        if self.order is not None:
            return self.order
        return "Graph" if any(step.depends_on for step in self.steps or ()) else "Sequence"


class ScheduleOutcome(ApiModel):
    """What became of one scheduled time."""

    time: str = Field(
        description="The scheduled time; of several that were dropped together, the last.",
        json_schema_extra=TIME,
    )
    outcome: Literal["Started", "Skipped", "Dropped"] = Field(
        description="Started: there is a run for it. Skipped: the schedule's own options left it out. "
        "Dropped: it could not be run."
    )
    reason: str | None = Field(
        default=None, max_length=128, description="How the run goes, or why there is none, in one word."
    )
    message: str | None = Field(default=None, max_length=1024, description="The reason in a sentence.")
    execution: str | None = Field(default=None, description="Name of the run.")


class ScheduleStatus(ApiModel):
    """Observed state of the schedule."""

    anchor: str | None = Field(
        default=None,
        description="When the operator first observed the schedule as it is now; it has no times before.",
        json_schema_extra=TIME,
    )
    spec_hash: str | None = Field(
        default=None, max_length=64, description="Hash of the fields that the times follow from."
    )
    last_scheduled_time: str | None = Field(
        default=None,
        description="The last scheduled time that was dealt with: all up to it were, none after it.",
        json_schema_extra=TIME,
    )
    next_scheduled_time: str | None = Field(
        default=None,
        description="The next time; not set while the schedule is suspended, or if there is none.",
        json_schema_extra=TIME,
    )
    last_started: str | None = Field(
        default=None,
        description="The last scheduled time for which a run was started.",
        json_schema_extra=TIME,
    )
    skip_next: bool | None = Field(
        default=None,
        description="Whether the next time is skipped, because a run has failed (skipOnFailure).",
    )
    message: str | None = Field(
        default=None, max_length=1024, description="Something about the schedule that a person should know."
    )
    recent: list[ScheduleOutcome] | None = Field(
        default=None, max_length=10, description="What became of the last scheduled times, oldest first."
    )


class WorkflowStatus(ApiModel):
    """Observed state of a Workflow. Written by the operator only."""

    observed_generation: int | None = Field(
        default=None, description="The metadata.generation last observed."
    )
    active: int | None = Field(default=None, description="Number of active executions.")
    last_run_time: str | None = Field(
        default=None, description="When the latest execution was created.", json_schema_extra=TIME
    )
    last_execution: str | None = Field(default=None, description="Name of the latest execution.")
    last_phase: str | None = Field(
        default=None,
        description="Phase of the latest execution; not set if it was deleted before it finished.",
    )
    schedule: ScheduleStatus | None = Field(default=None, description="Observed state of the schedule.")
    notifications: Notices | None = Field(
        default=None,
        description="What became of each message about scheduled times that did not run, by skip/<channel>.",
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Accepted: whether it can run. Deferred: which fields have no effect yet. "
        "NotificationsConfigured: whether there is a target for each channel.",
        json_schema_extra=list_map("type"),
    )
