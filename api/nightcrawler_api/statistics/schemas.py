"""Requests and responses of statistics."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from nightcrawler_api.executions.queries import Across, Grouped, Sourced, Tabular
from nightcrawler_api.executions.schemas import Cost
from nightcrawler_api.state.statuses import ExecutionStatus


class StatisticsParameters(Across, Sourced, Grouped, Tabular):
    """Query parameters of statistics."""


class Spread(TypedDict):
    """How some durations are spread, in seconds."""

    mean: float
    median: float
    p95: float
    max: float


class Statistics(TypedDict):
    """Counts by status, the share of completed ones among those that completed or failed, and durations.

    `durationSeconds` is of those that completed, `waitSeconds` the time from creation to the start of the
    first step. `cost` is what those have cost together that have ended, where Environments have prices; if
    these are in several currencies, `costs` has each in place of it.
    """

    executions: int
    running: int
    completed: int
    failed: int
    cancelled: int
    successRate: NotRequired[float]
    durationSeconds: NotRequired[Spread]
    waitSeconds: NotRequired[Spread]
    cost: NotRequired[Cost]
    costs: NotRequired[list[Cost]]


class StatisticsGroup(Statistics):
    """The statistics of a group, with what its executions have in common.

    `workflow` is missing if its name is not known, `environment` if they are in none.
    """

    day: NotRequired[str]
    month: NotRequired[str]
    namespace: NotRequired[str]
    workflowId: NotRequired[str]
    workflow: NotRequired[str]
    status: NotRequired[ExecutionStatus]
    environment: NotRequired[str]
    executor: NotRequired[str]


class StatisticsOfAll(Statistics):
    """The statistics of all that match, and of each group."""

    groups: list[StatisticsGroup]


class ExecutionGroups(TypedDict):
    """A page of groups, in the order in which their first executions are in the list; `total` counts all."""

    groups: list[StatisticsGroup]
    total: int
    limit: int
    offset: int
