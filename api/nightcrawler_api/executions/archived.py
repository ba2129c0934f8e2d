"""Archived executions in lists as JSON of the REST API, from their rows; pure.

They are shown as `presenter.row` shows them while the cluster has them. A page has fifty, and a view of each
would take longer to make than its JSON.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import msgspec

from nightcrawler_api.archive.contract import ListedRow
from nightcrawler_api.executions.presenter import NO_REASON, Named, add_workflow, executor_of, money, used
from nightcrawler_api.executions.schemas import Execution, ExecutionOfWorkflow
from nightcrawler_crds import clock, words
from nightcrawler_crds.kube.views import ResourceUsageView
from nightcrawler_crds.plaintext import plain

_SECOND: Final = 1_000_000
_usage = msgspec.json.Decoder(ResourceUsageView, strict=False)


class Beside(NamedTuple):
    """What the cluster has beside an archived execution, on which it depends how that is shown.

    Attributes:
        id: Its id.
        archived: Whether only the archive has it.
        workflow: The workflow of the execution.
    """

    id: str
    archived: bool
    workflow: Named


def row(listed: ListedRow, beside: Beside, default_user: str) -> Execution:
    """An archived execution in the list of its workflow."""
    shown: dict[str, Any] = {"id": beside.id}
    _add_facts(shown, listed, default_user)
    if beside.archived:
        shown["archived"] = True
    return cast("Execution", shown)


def row_of_workflow(listed: ListedRow, beside: Beside, default_user: str) -> ExecutionOfWorkflow:
    """An archived execution in a list across workflows."""
    shown: dict[str, Any] = {"id": beside.id, "workflowId": listed.workflow}
    _add_facts(shown, listed, default_user)
    add_workflow(shown, beside.workflow)
    if beside.archived:
        shown["archived"] = True
    return cast("ExecutionOfWorkflow", shown)


def _add_facts(shown: dict[str, Any], listed: ListedRow, default_user: str) -> None:
    shown["status"] = listed.status
    shown["startTime"] = _wire(listed.started_at)
    shown["executor"] = executor_of(listed.trigger, listed.executor, default_user)
    shown["endTime"] = _wire(listed.ended_at)
    shown["duration"] = words.clock_long((listed.ended_at - listed.started_at) / _SECOND)
    if listed.status == "failed":
        shown["error"] = plain(listed.message or NO_REASON)
    elif listed.message and listed.status != "completed":
        shown["message"] = plain(listed.message)
    if listed.environment:
        shown["environment"] = listed.environment
    if listed.progress:
        shown["progress"] = listed.progress
    if listed.cost is not None:
        shown["cost"] = money(listed.cost, listed.currency)
    if listed.scheduled_at:
        shown["scheduledTime"] = _wire(listed.scheduled_at)
    if listed.usage:
        shown["resourceUsage"] = used(_usage.decode(listed.usage))


def _wire(micros: int) -> str:
    return clock.seconds_to_wire(micros // _SECOND)
