"""Responses of logs."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from nightcrawler_api.executions.schemas import LogLine
from nightcrawler_api.pagination import QueryParameters


class LogParameters(QueryParameters):
    """Query parameters of a log."""

    step: Annotated[str, Field(min_length=1, max_length=100, description="The name of the step.")]
    attempt: Annotated[int | None, Field(ge=1, le=100_000)] = Field(
        None, description="The number of the attempt, from 1; not set: the last one."
    )
    follow: bool = Field(False, description="Stream the lines as server-sent events, from the first on.")


class StepLog(TypedDict):
    """The last lines of an attempt's log; `logsMessage` says if it is truncated, or why it is missing."""

    executionId: str
    step: str
    attempt: int
    logs: list[LogLine]
    logsMessage: NotRequired[str]
