"""Responses to dry runs."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from nightcrawler_api.executions.schemas import Cost


class Prospect(TypedDict):
    """What would become of an execution that is created now.

    If `wouldRun` is false it would fail before a step has run, and `reason` and `message` say why. If it is
    true and there is a `waitingReason`, it would wait first, and `message` says for what. `steps` are the
    first steps whose Jobs and Pods the API server would take, and `notChecked` has a sentence for each thing
    that could not be found out.
    """

    wouldRun: bool
    reason: NotRequired[str]
    waitingReason: NotRequired[str]
    message: str
    environment: NotRequired[str]
    estimatedDuration: NotRequired[str]
    estimatedWait: NotRequired[str]
    estimatedEnd: NotRequired[str]
    estimatedCost: NotRequired[Cost]
    steps: list[str]
    notChecked: list[str]


class ExecutionDryRun(Prospect):
    """What would become of an execution that is created now; none was."""

    dryRun: bool
    workflowId: str


class WorkflowDryRun(TypedDict):
    """A workflow that could be created, and what would become of an execution of it; neither was created."""

    dryRun: bool
    name: str
    description: str
    priority: str
    execution: Prospect
