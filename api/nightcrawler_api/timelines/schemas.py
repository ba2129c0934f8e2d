"""The response about the times of an execution."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from nightcrawler_api.state.statuses import ExecutionStatus, StepStatus


class TimelineStep(TypedDict):
    """A step: what it waits for, when it could start, started and ended.

    `readyTime` is when all in `dependsOn` had completed, or the execution's creation; `waitSeconds` from then
    to its start, if it is the first attempt. `startTime` and what follows from it are of the last attempt;
    `durationSeconds` of a running step is that so far.
    """

    name: str
    status: StepStatus
    dependsOn: NotRequired[list[str]]
    readyTime: NotRequired[str]
    startTime: NotRequired[str]
    endTime: NotRequired[str]
    waitSeconds: NotRequired[float]
    durationSeconds: NotRequired[float]
    attempt: NotRequired[int]
    disruptions: NotRequired[int]


class Timeline(TypedDict):
    """The times of an execution and of all its steps, in the order of the workflow that it ran.

    `criticalPath` is the chain of steps that decided when it ended, in their order. If the revision that it
    ran is gone, there are only the steps that began, and nothing about what they waited for.
    """

    executionId: str
    workflowId: str
    status: ExecutionStatus
    createdAt: str
    acceptedAt: NotRequired[str]
    placedAt: NotRequired[str]
    startTime: NotRequired[str]
    endTime: NotRequired[str]
    steps: list[TimelineStep]
    criticalPath: NotRequired[list[str]]
