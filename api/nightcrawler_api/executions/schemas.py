"""Requests and responses of executions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from nightcrawler_api.state.statuses import ExecutionStatus
from nightcrawler_crds.v1alpha1 import MAX_PARAMETERS_BYTES

Level = Literal["info", "warning", "error"]


class ExecuteRequest(BaseModel):
    """Environment and parameters of a run; all optional, and so is the body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    environment: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        None,
        description="An Environment by name or alias; not set: the workflow's first, else the default one.",
    )
    parameters: Annotated[dict[str, Any], Field(max_length=128)] | None = Field(
        None,
        description="Values of the parameters, any JSON each; of a workflow that declares some, only those. "
        f"{MAX_PARAMETERS_BYTES} bytes in all.",
        # In the document alone: the check of the name itself has a sentence for it.
        json_schema_extra={"propertyNames": {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 128}},
    )


class RerunRequest(BaseModel):
    """How to repeat a run; all optional, and so is the body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    parameters: Annotated[dict[str, Any], Field(max_length=128)] | None = Field(
        None,
        description="Values of the parameters, in place of all of the earlier run's; not set: those.",
        json_schema_extra={"propertyNames": {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 128}},
    )
    revision: Literal["same", "latest"] = Field(
        "same", description="same: what the earlier run did. latest: the workflow as it is now."
    )


class Cost(TypedDict):
    """An amount of money; `currency` is missing where the prices have none."""

    amount: float
    currency: NotRequired[str]


class ExecutionStarted(TypedDict):
    """An execution that has just been created.

    `estimatedWait` is there if its turn under limits on running executions can be estimated, or the room in
    its Environment is known, and `estimatedCost` where that has prices. `estimatedEnd` takes it to start
    after that wait, or at once.
    """

    executionId: str
    workflowId: str
    status: ExecutionStatus
    startTime: str
    estimatedDuration: str
    estimatedWait: NotRequired[str]
    estimatedEnd: str
    estimatedCost: NotRequired[Cost]


class PlacementCandidate(TypedDict):
    """An Environment among which a strategy chose, as it was then; the chosen one has no `passedOver`."""

    environment: str
    estimatedWait: NotRequired[str]
    estimatedDuration: NotRequired[str]
    estimatedCost: NotRequired[Cost]
    passedOver: NotRequired[str]


class ResourceUsage(TypedDict):
    """What was used of what was asked for, in percent, else of the node; only what was measured."""

    cpu: NotRequired[int]
    memory: NotRequired[int]
    gpu: NotRequired[int]


class Execution(TypedDict):
    """An execution in the list.

    `error` says why it failed; `message` why a live one waits, or how it was cancelled. `waitingReason` is
    why it waits in one word, and `waitingSince` since when; both are missing while nothing waits. `duration`
    of a live one is that so far, once a step has started. `cost` is what one has cost that has ended, where
    the Environment has prices. `resourceUsage` is the average of its steps; in the detail of a live one, what
    those use now that run. `archived` is true of one that only the archive has.
    """

    id: str
    status: ExecutionStatus
    startTime: str
    endTime: NotRequired[str]
    duration: NotRequired[str]
    executor: str
    error: NotRequired[str]
    message: NotRequired[str]
    waitingReason: NotRequired[str]
    waitingSince: NotRequired[str]
    environment: NotRequired[str]
    progress: NotRequired[str]
    scheduledTime: NotRequired[str]
    cost: NotRequired[Cost]
    resourceUsage: NotRequired[ResourceUsage]
    archived: NotRequired[bool]


class ExecutionList(TypedDict):
    """A page of a workflow's executions.

    `total` counts all that match; `nextCursor` is there if others follow.
    """

    executions: list[Execution]
    total: int
    limit: int
    offset: int
    nextCursor: NotRequired[str]


class ExecutionOfWorkflow(Execution):
    """An execution in a list across workflows; `workflow` is the name for people of its workflow.

    `workflowDeleted` is true if that is gone; its name is then known only from the archive.
    """

    workflowId: str
    workflow: NotRequired[str]
    workflowDeleted: NotRequired[bool]


class AllExecutionsList(TypedDict):
    """A page of executions of all workflows, as a list of one's."""

    executions: list[ExecutionOfWorkflow]
    total: int
    limit: int
    offset: int
    nextCursor: NotRequired[str]


class LogLine(TypedDict):
    """A line of a step's log: `timestamp` is HH:MM:SS in UTC, `time` the full timestamp."""

    timestamp: str
    level: Level
    message: str
    time: NotRequired[str]


class StepExecution(TypedDict):
    """A step that has started; its last attempt.

    `resourceUsage` is the average of one that has ended, with the highest values in `peakUsage`, and what one
    that runs uses now.
    """

    name: str
    status: Literal["running", "completed", "failed"]
    startTime: str
    endTime: NotRequired[str]
    duration: NotRequired[str]
    error: NotRequired[str]
    message: NotRequired[str]
    attempt: NotRequired[int]
    exitCode: NotRequired[int]
    resourceUsage: NotRequired[ResourceUsage]
    peakUsage: NotRequired[ResourceUsage]
    logs: NotRequired[list[LogLine]]
    logsMessage: NotRequired[str]


class Notice(TypedDict):
    """What became of a message about an execution; `step` and `attempt` are those of a retry."""

    event: str
    channel: str
    state: Literal["pending", "sent", "failed"]
    attempts: int
    step: NotRequired[str]
    attempt: NotRequired[int]
    sentAt: NotRequired[str]
    error: NotRequired[str]


class ExecutionDetail(Execution):
    """An execution in full.

    Of one that has not ended, `estimatedDuration` and what follows from it is what is expected.
    `placeInLine` is there while it waits for its turn under a limit on running executions: 1 is the next.
    `expectedStart` is when that is expected, by what the others usually take. `placementMessage` says why it
    runs in its environment, and `placement` has the candidates of a strategy.
    `notifications` are its messages, if there are any.
    """

    workflowId: str
    placeInLine: NotRequired[int]
    expectedStart: NotRequired[str]
    estimatedDuration: NotRequired[str]
    estimatedWait: NotRequired[str]
    estimatedEnd: NotRequired[str]
    estimatedCost: NotRequired[Cost]
    placementMessage: NotRequired[str]
    placement: NotRequired[list[PlacementCandidate]]
    stepExecutions: list[StepExecution]
    parameters: dict[str, Any]
    notifications: NotRequired[list[Notice]]


class Trace(TypedDict):
    """A trace as the body of an OTLP request (`ExportTraceServiceRequest` in JSON)."""

    resourceSpans: list[dict[str, Any]]


class AnyExecutionDetail(ExecutionDetail):
    """An execution in full, with its workflow as in a list across workflows."""

    workflow: NotRequired[str]
    workflowDeleted: NotRequired[bool]


class NotCancelled(TypedDict):
    """An execution that could not be cancelled, and why."""

    id: str
    detail: str


class BulkCancelled(TypedDict):
    """The response to a cancellation of many: the ids of what is, or would be, cancelled.

    `remaining` is the number of others that match, beyond the most that one request cancels.
    """

    dryRun: bool
    executions: list[str]
    notCancelled: list[NotCancelled]
    remaining: int


class Cancelling(TypedDict):
    """The response to a cancellation."""

    success: bool
    message: str
    executionId: str
    status: Literal["cancelling"]
