"""Workflow: what to run."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from nightcrawler_crds.v1alpha1.base import (
    LISTED_LATER,
    TIME,
    AnyJson,
    ApiModel,
    Condition,
    Duration,
    EnvVar,
    FreeForm,
    Retries,
    Timeout,
    list_map,
    rule,
)
from nightcrawler_crds.v1alpha1.config import StepResources, WorkflowConfig

MAX_STEPS: Final = 1000
MAX_SPEC_BYTES: Final = 256 * 1024
MAX_PARAMETERS_BYTES: Final = 32 * 1024

Priority = Literal["low", "medium", "high", "critical"]
EnvironmentStrategy = Literal["start", "time", "cost"]
TraceLevel = Literal["min", "med", "debug"]
Order = Literal["Sequence", "Graph"]

_STEP_NAME = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
StepName = Annotated[str, Field(min_length=1, max_length=100, pattern=_STEP_NAME)]
Argument = Annotated[str, Field(max_length=131072)]


class Parameter(ApiModel):
    """A value that a run may be given."""

    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        min_length=1,
        max_length=128,
        description="Name; steps find the value in the variable PARAM_<name>.",
    )
    default: AnyJson = Field(default=None, description="The value if a run gives none: any JSON.")
    required: bool | None = Field(
        default=None, description="Whether a run must give a value; one with a default need not."
    )
    description: str | None = Field(default=None, max_length=4096, description="What it is, for people.")


class Options(ApiModel):
    """The switches of the dashboard's form."""

    enable_notifications: bool | None = Field(
        default=None, description="Whether runs are told of." + LISTED_LATER
    )
    enable_logging: bool | None = Field(
        default=None, description="Whether logs are kept beyond the Pods." + LISTED_LATER
    )
    enable_retry: bool | None = Field(
        default=None,
        description="true: config.retries, or 3 if that is not set; false: no retries; "
        "not set: config.retries, or none.",
    )


class History(ApiModel):
    """How many ended executions are kept; the oldest go first."""

    completed: Annotated[int, Field(ge=0, le=10000)] | None = Field(
        default=None, description="Completed ones kept. Default: the installation's, 10."
    )
    failed: Annotated[int, Field(ge=0, le=10000)] | None = Field(
        default=None, description="Failed and cancelled ones kept. Default: the installation's, 10."
    )


class Step(ApiModel):
    """One container that runs to its end."""

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
        description="The program; without it the image's. $(PARAM_x) is filled in.",
    )
    args: list[Argument] | None = Field(
        default=None, max_length=1024, description="The program's arguments. $(PARAM_x) is filled in."
    )
    working_dir: str | None = Field(
        default=None, max_length=4096, description="Folder in which the program starts."
    )
    env: list[EnvVar] | None = Field(
        default=None,
        max_length=512,
        description="Variables of the environment, after the parameters' PARAM_<name>.",
    )
    env_from: list[FreeForm] | None = Field(
        default=None, max_length=64, description="Secrets and ConfigMaps whose every key becomes a variable."
    )
    resources: StepResources | None = Field(
        default=None, description="What the step gets, over config.resources."
    )
    timeout: Timeout | None = Field(
        default=None,
        description="Longest time of one attempt's program, from the start of its container: '1h30m'. "
        "An attempt over it has failed (TimedOut).",
    )
    retries: Retries | None = Field(default=None, description="Like config.retries, for this step.")
    retry_delay: Duration | None = Field(default=None, description="Like config.retryDelay, for this step.")
    depends_on: list[StepName] | None = Field(
        default=None,
        max_length=MAX_STEPS,
        description="Steps that must be Completed first (order Graph).",
    )
    nodes: int | None = Field(
        default=None,
        ge=1,
        description="Nodes that run the step together; more than 1 comes in a later release.",
        json_schema_extra=rule("self <= 1", "a step on several nodes is not supported yet: leave nodes out"),
    )
    pod_template: FreeForm | None = Field(
        default=None,
        description="A PodTemplateSpec merged over the Pod that is built. The step's container is 'step', "
        "side-cars are initContainers with restartPolicy Always.",
    )


class WorkflowSpec(ApiModel):
    """What to run, with what, where, and in which order. Applying a Workflow runs nothing."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            "!has(self.order) || self.order != 'Sequence' || !has(self.steps) "
            "|| !self.steps.exists(step, has(step.dependsOn) && size(step.dependsOn) > 0)",
            "a step has dependsOn, but order is Sequence; leave one of them out, or set order: Graph",
            about="order",
        )
    )

    display_name: str | None = Field(
        default=None, min_length=1, max_length=256, description="Name for people."
    )
    description: str | None = Field(default=None, max_length=4096, description="What it does, for people.")
    priority: Priority | None = Field(
        default=None, description="low, medium, high or critical; medium if not set." + LISTED_LATER
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=128)]] | None = Field(
        default=None, max_length=64, description="Words to find it by."
    )
    environments: list[Annotated[str, Field(min_length=1, max_length=253)]] | None = Field(
        default=None,
        max_length=64,
        description="Environments it may run in, by name or alias; the first is taken. Not set: the default "
        "one. An empty list: none, unless a run names one.",
    )
    environment_strategy: EnvironmentStrategy | None = Field(
        default=None, description="How an environment is chosen: by start, time or cost." + LISTED_LATER
    )
    trace_level: TraceLevel | None = Field(
        default=None, description="How much is traced: min, med or debug." + LISTED_LATER
    )
    options: Options | None = Field(default=None, description="The switches of the dashboard's form.")
    parameters: list[Parameter] | None = Field(
        default=None,
        max_length=128,
        description="Values that a run may be given; a workflow that declares none takes any.",
        json_schema_extra=list_map("name"),
    )
    order: Order | None = Field(
        default=None,
        description="Sequence: each step after the one above. Graph: by dependsOn. "
        "Not set: Graph if any step has dependsOn, else Sequence.",
    )
    steps: list[Step] | None = Field(
        default=None,
        max_length=MAX_STEPS,
        description="The containers to run.",
        json_schema_extra=list_map("name"),
    )
    suspend: bool | None = Field(default=None, description="Whether the schedule pauses." + LISTED_LATER)
    history: History | None = Field(default=None, description="How many ended executions are kept.")
    config: WorkflowConfig | None = Field(default=None, description="How steps run.")

    @property
    def effective_order(self) -> Order:
        """The order in force: as written, else by whether any step has dependsOn."""
        if self.order is not None:
            return self.order
        return "Graph" if any(step.depends_on for step in self.steps or ()) else "Sequence"


class WorkflowStatus(ApiModel):
    """What the operator knows of a workflow."""

    observed_generation: int | None = Field(
        default=None, description="The metadata.generation last looked at."
    )
    active: int | None = Field(default=None, description="Executions in flight.")
    last_run_time: str | None = Field(
        default=None, description="When the latest execution was created.", json_schema_extra=TIME
    )
    last_execution: str | None = Field(default=None, description="Name of the latest execution.")
    last_phase: str | None = Field(
        default=None, description="Phase of the latest execution; none if it was deleted before its end."
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Accepted: whether it can run. Deferred: what it asks for that has no effect yet.",
        json_schema_extra=list_map("type"),
    )
