"""The query of a list of executions: its parameters, and what they ask the index for; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from nightcrawler_api.filters import environment_names, executors
from nightcrawler_api.ids import Ids
from nightcrawler_api.pagination import (
    DEFAULT_SIZE,
    Continued,
    Moment,
    QueryParameters,
    Size,
    Unset,
    Window,
    ordering,
)
from nightcrawler_api.state.protection import Protection
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_api.state.statuses import EXECUTION_STATUSES, ExecutionStatus
from nightcrawler_crds.kube.views import EnvironmentView

Tag = Annotated[str, Field(min_length=1, max_length=128)]

MOST_ROWS: Final = 10_000
"""Of a table, in one answer."""

ExecutionSort = Literal[
    "createdAt",
    "-createdAt",
    "startTime",
    "-startTime",
    "endTime",
    "-endTime",
    "duration",
    "-duration",
]


class ExecutionFilters(QueryParameters):
    """Filters of executions."""

    status: Annotated[Literal[ExecutionStatus, "pending", "all"] | None, Unset()] = Field(
        None,
        description="Only executions with this status. pending: running ones of which no step has started; "
        "all is no filter.",
    )
    environment: Annotated[Annotated[str, Field(max_length=253)] | None, Unset()] = Field(
        None, description="Only executions in this environment, by its name or an alias."
    )
    executor: Annotated[Annotated[str, Field(max_length=256)] | None, Unset()] = Field(
        None, description="Only executions that this user started."
    )
    tags: list[Tag] = Field(
        [],
        max_length=64,
        description="Only executions of workflows with this tag; if it is repeated, with all of them.",
    )
    from_: Moment = Field(
        None, alias="from", description="Only those started at this time or later: RFC 3339, or a date."
    )
    to: Moment = Field(None, description="Only those started before this time: RFC 3339, or a date.")


class Across(ExecutionFilters):
    """Filters of executions of several workflows."""

    workflow: Annotated[Annotated[str, Field(max_length=253)] | None, Unset()] = Field(
        None, description="Only executions of the workflow with this id."
    )
    namespace: Annotated[Annotated[str, Field(max_length=63)] | None, Unset()] = Field(
        None, description="Only executions in this namespace."
    )


GroupBy = Literal["day", "month", "namespace", "workflow", "status", "environment", "executor"]


class Grouped(QueryParameters):
    """The parameter that puts executions into groups."""

    group_by: Annotated[GroupBy | None, Unset()] = Field(
        None, description="What those of a group have in common; day and month are of the start, in UTC."
    )


class Tabular(QueryParameters):
    """The parameter that asks for a table."""

    format: Annotated[Literal["json", "csv"] | None, Unset()] = Field(
        None, description="csv: a table for spreadsheets, with the fields of the JSON as columns."
    )


class Sourced(QueryParameters):
    """The parameter that says where executions are taken from."""

    source: Annotated[Literal["all", "cluster"] | None, Unset()] = Field(
        None,
        description="cluster: only executions that the cluster still has; needs no archive. "
        "all: archived ones too.",
    )


class ExecutionParameters(ExecutionFilters, Sourced, Tabular, Continued):
    """Query parameters of a workflow's executions."""

    sort: Annotated[ExecutionSort, Field(description="Field to sort by; - before it: descending.")] = (
        "-createdAt"
    )
    limit: Size = Field(
        DEFAULT_SIZE,
        description=f"Executions in the answer; of a table {MOST_ROWS:,}, unless this is sent.",
    )
    offset: int = Field(0, ge=0, description="Executions to leave out before them.")

    @property
    def window(self) -> Window:
        """The entries in the answer."""
        return Window(self.offset, self.limit)


class AllExecutionsParameters(ExecutionParameters, Across, Grouped):
    """Query parameters of the executions of all workflows."""


class BulkCancelParameters(Across):
    """Query parameters of a cancellation of many executions."""

    # A misspelt filter would cancel more than is meant.
    model_config = ConfigDict(extra="forbid")

    status: Literal["running", "pending", "all"] = Field(
        description="pending: only those of which no step has started. running, all: all live ones."
    )
    dry_run: bool = Field(False, description="Only answer what would be cancelled.")


_STATUSES: Final[dict[str, ExecutionStatus]] = {word: word for word in EXECUTION_STATUSES}
"""Statuses by their words; the other words of the parameter are none."""


def needs_archive(asked: ExecutionFilters) -> bool:
    """Whether executions that have ended, and are in the cluster no longer, can be among those asked for."""
    return getattr(asked, "source", None) != "cluster" and asked.status not in (
        "running",
        "pending",
        "cancelling",
    )


def query_of(
    asked: ExecutionFilters,
    default_user: str,
    environments: Collection[EnvironmentView],
    ids: Ids,
    seen: frozenset[Protection] | None = None,
) -> ExecutionQuery:
    """What to ask the index for, of what is seen; raises `Invalid` for a cursor that cannot be used."""
    order = ordering("-createdAt", None, None)
    if isinstance(asked, ExecutionParameters):
        order = ordering(asked.sort, asked.cursor, "offset" if asked.offset else None)
    across = asked if isinstance(asked, Across) else None
    workflow = across.workflow if across else None
    return ExecutionQuery(
        status=_STATUSES.get(asked.status or ""),
        pending=asked.status == "pending",
        workflow=None if workflow is None else ids.key(workflow),
        namespace=across.namespace if across else None,
        environments=environment_names(asked.environment, environments),
        executors=executors(asked.executor, default_user),
        tags=frozenset(asked.tags),
        begin=asked.from_.timestamp() if asked.from_ else None,
        end=asked.to.timestamp() if asked.to else None,
        seen=seen,
        ordering=order,
    )
