"""Requests and responses of statistics."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from nightcrawler_api.executions.queries import ExecutionFilters, Sourced
from nightcrawler_api.pagination import Unset


class StatisticsParameters(ExecutionFilters, Sourced):
    """Query parameters of statistics."""

    workflow: Annotated[Annotated[str, Field(max_length=253)] | None, Unset()] = Field(
        None, description="Only executions of the workflow with this id."
    )
    group_by: Annotated[Literal["day", "workflow"] | None, Unset()] = Field(
        None, description="day: of the start, in UTC; or workflow."
    )


class Spread(TypedDict):
    """How some durations are spread, in seconds."""

    mean: float
    median: float
    p95: float
    max: float


class Statistics(TypedDict):
    """Counts by status, the share of completed ones among those that completed or failed, and durations.

    `durationSeconds` is of those that completed, `waitSeconds` the time from creation to the start of the
    first step.
    """

    executions: int
    running: int
    completed: int
    failed: int
    cancelled: int
    successRate: NotRequired[float]
    durationSeconds: NotRequired[Spread]
    waitSeconds: NotRequired[Spread]


class StatisticsGroup(Statistics):
    """The statistics of one day, or of one workflow; `workflow` is missing if its name is not known."""

    day: NotRequired[str]
    workflowId: NotRequired[str]
    workflow: NotRequired[str]


class StatisticsOfAll(Statistics):
    """The statistics of all that match, and of each group."""

    groups: list[StatisticsGroup]
