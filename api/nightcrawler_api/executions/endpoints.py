"""Routes of executions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Path, Query, Request, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import (
    CallerOf,
    DryRuns,
    Executions,
    ExecutionsRead,
    IdempotencyKey,
    StatisticsOf,
)
from nightcrawler_api.dryruns import examples as dryruns
from nightcrawler_api.dryruns.schemas import ExecutionDryRun
from nightcrawler_api.errors import BODIES, WRITES
from nightcrawler_api.executions import examples
from nightcrawler_api.executions.queries import (
    AllExecutionsParameters,
    BulkCancelParameters,
    ExecutionParameters,
)
from nightcrawler_api.executions.schemas import (
    AllExecutionsList,
    AnyExecutionDetail,
    BulkCancelled,
    Cancelling,
    ExecuteRequest,
    ExecutionDetail,
    ExecutionList,
    ExecutionStarted,
    RerunRequest,
    Trace,
)
from nightcrawler_api.http.json_body import JsonRoute
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import answers, creates, reads, with_table
from nightcrawler_api.responses import ETagResponse, json, made, table
from nightcrawler_api.statistics.schemas import ExecutionGroups

router = Routes(prefix="/api/workflows/{workflowId}", tags=["executions"], route_class=JsonRoute)

WorkflowId = Annotated[str, Path(alias="workflowId", description="The workflow's id.")]
ExecutionId = Annotated[
    str, Path(alias="executionId", description="The execution's id, which is its metadata.name.")
]

all_of_them = Routes(prefix="/api/executions", tags=["executions"], route_class=JsonRoute)

_Logs = Annotated[
    bool, Query(description="Whether to include the logs of the steps, which take the longest to read.")
]


@router.post(
    "/execute",
    status_code=201,
    summary="Execute a workflow",
    responses={
        **creates(
            ExecutionStarted,
            "The execution is created; Location has its URL.",
            examples.STARTED,
            404,
            *BODIES,
            *WRITES,
        ),
        **answers(200, ExecutionDryRun, "With dryRun: what would become of it.", dryruns.EXECUTION),
    },
)
@performs(Operation.EXECUTE)
async def execute_workflow(
    executions: Executions,
    dry_runs: DryRuns,
    caller: CallerOf,
    workflow_id: WorkflowId,
    key: IdempotencyKey,
    body: Annotated[ExecuteRequest | None, Body(openapi_examples=examples.EXECUTE)] = None,
    dry_run: Annotated[
        bool, Query(alias="dryRun", description="Create nothing, and answer what would be.")
    ] = False,
) -> Response:
    """409 says why the workflow cannot run, 422 what is wrong with the request.

    With `dryRun` the same is refused; else the answer says whether it would run, and where, what it would
    wait for, and how long it would take. The API server is asked whether it would take the first Jobs.
    """
    if dry_run:
        return json(await dry_runs.execution(workflow_id, body or ExecuteRequest(), caller))
    started = await executions.execute(workflow_id, body or ExecuteRequest(), caller, key)
    return made(started, f"/api/workflows/{workflow_id}/executions/{started.shown['executionId']}")


@router.get(
    "/executions",
    summary="List a workflow's executions",
    responses=with_table(
        reads(ExecutionList, "A page of executions.", examples.LIST, 404, 422, 503), examples.TABLE
    ),
)
@performs(Operation.LIST_EXECUTIONS)
async def list_executions(
    request: Request,
    executions: ExecutionsRead,
    caller: CallerOf,
    workflow_id: WorkflowId,
    asked: Annotated[ExecutionParameters, Query()],
) -> Response:
    """Executions, newest first; those created in the same second by descending id."""
    if asked.format == "csv":
        return _table(request, *await executions.table(workflow_id, asked, caller))
    return ETagResponse(await executions.page(workflow_id, asked, caller))


@router.get(
    "/executions/{executionId}",
    summary="Show an execution",
    responses=reads(ExecutionDetail, "The execution in full.", examples.DETAIL, 404, 422, 503),
)
@performs(Operation.SHOW_EXECUTION)
async def show_execution(
    executions: ExecutionsRead,
    caller: CallerOf,
    workflow_id: WorkflowId,
    execution_id: ExecutionId,
    logs: _Logs = True,
) -> Response:
    """Steps that have started, with the last 1,000 lines of the log of their last attempt.

    At most 1 MiB a step and 8 MiB in all, shared evenly; `logsMessage` says if the log is truncated, or
    why it is missing.
    """
    return ETagResponse(await executions.show(workflow_id, execution_id, caller, with_logs=logs))


@router.get(
    "/executions/{executionId}/trace",
    summary="Show the trace of an execution",
    responses=reads(Trace, "The trace in OpenTelemetry's JSON.", examples.TRACE, 404, 422, 503),
)
@performs(Operation.SHOW_TRACE)
async def show_trace(
    executions: ExecutionsRead, caller: CallerOf, workflow_id: WorkflowId, execution_id: ExecutionId
) -> Response:
    """The spans of the run and its steps; attempts, waits and Events as its workflow's traceLevel says.

    It is the body of an OTLP request, which collectors and trace viewers take. Spans of what is under way
    end now.
    """
    return ETagResponse(await executions.trace(workflow_id, execution_id, caller))


@router.post(
    "/executions/{executionId}/cancel",
    status_code=202,
    summary="Cancel an execution",
    responses=answers(
        202,
        Cancelling,
        "Cancellation is requested; the status is cancelling until it has ended.",
        examples.CANCELLING,
        404,
        *WRITES,
    ),
)
@performs(Operation.CANCEL)
async def cancel_execution(
    executions: Executions, caller: CallerOf, workflow_id: WorkflowId, execution_id: ExecutionId
) -> Response:
    """Idempotent while the execution is being cancelled; 409 once it has ended."""
    return json(await executions.cancel(workflow_id, execution_id, caller), 202)


@router.post(
    "/executions/{executionId}/rerun",
    status_code=201,
    summary="Repeat an execution",
    responses=creates(
        ExecutionStarted,
        "The execution is created; Location has its URL.",
        examples.STARTED,
        404,
        *BODIES,
        *WRITES,
    ),
)
@performs(Operation.RERUN)
async def rerun_execution(
    executions: Executions,
    caller: CallerOf,
    workflow_id: WorkflowId,
    execution_id: ExecutionId,
    key: IdempotencyKey,
    body: Annotated[RerunRequest | None, Body(openapi_examples=examples.RERUN)] = None,
) -> Response:
    """A new execution in the same environment, with the same parameters unless others are sent.

    409 says why it cannot be repeated, for example because its revision is gone.
    """
    started = await executions.rerun(workflow_id, execution_id, body or RerunRequest(), caller, key)
    return made(started, f"/api/workflows/{workflow_id}/executions/{started.shown['executionId']}")


@all_of_them.post(
    "/cancel",
    summary="Cancel executions",
    responses=answers(
        200, BulkCancelled, "What is, or would be, cancelled.", examples.BULK_CANCELLED, 422, 503
    ),
)
@performs(Operation.CANCEL_MANY)
async def cancel_executions(
    executions: Executions, caller: CallerOf, asked: Annotated[BulkCancelParameters, Query()]
) -> Response:
    """All running executions that match the filters, at most 1,000 at once; with `dryRun`, only their ids.

    `status` is required, so that nothing is cancelled by a request that forgot its filters.
    """
    return json(await executions.cancel_all(asked, caller))


@all_of_them.get(
    "",
    summary="List executions of all workflows",
    responses=with_table(
        reads(
            AllExecutionsList | ExecutionGroups,
            "A page of executions, or of groups of them.",
            examples.LIST_OF_ALL,
            422,
            503,
        ),
        examples.TABLE,
    ),
)
@performs(Operation.LIST_ALL_EXECUTIONS)
async def list_all_executions(
    request: Request,
    executions: ExecutionsRead,
    statistics: StatisticsOf,
    caller: CallerOf,
    asked: Annotated[AllExecutionsParameters, Query()],
) -> Response:
    """Executions that match all filters, newest first, also of workflows that have been deleted.

    With `groupBy`, groups of them in the order of their first executions, each with its statistics.
    """
    by = asked.group_by
    if asked.format == "csv":
        if by is not None:
            return table(await statistics.table_of_groups(asked, by, caller), "groups")
        return _table(request, *await executions.table(None, asked, caller))
    if by is not None:
        return ETagResponse(await statistics.page(asked, by, caller))
    return ETagResponse(await executions.page_of_all(asked, caller))


@all_of_them.get(
    "/{executionId}",
    summary="Show an execution of any workflow",
    responses=reads(AnyExecutionDetail, "The execution in full.", examples.DETAIL_OF_ANY, 404, 422, 503),
)
@performs(Operation.SHOW_ANY_EXECUTION)
async def show_any_execution(
    executions: ExecutionsRead, caller: CallerOf, execution_id: ExecutionId, logs: _Logs = True
) -> Response:
    """As under its workflow, and also if that has been deleted: the archive keeps its executions."""
    return ETagResponse(await executions.show_any(execution_id, caller, with_logs=logs))


def _table(request: Request, text: str, cursor: str | None) -> Response:
    """Executions as CSV; the URL of what follows has the same query, and the cursor."""
    if cursor is None:
        return table(text, "executions")
    following = request.url.remove_query_params("offset").include_query_params(cursor=cursor)
    return table(text, "executions", f"{following.path}?{following.query}")
