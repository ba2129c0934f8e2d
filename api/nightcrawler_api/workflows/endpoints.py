"""Routes of workflows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response

from nightcrawler_api.dependencies import CallerOf, Workflows
from nightcrawler_api.errors import BODIES, WRITES
from nightcrawler_api.http.json_body import JsonRoute
from nightcrawler_api.openapi import answers, reads
from nightcrawler_api.responses import ETagResponse, json
from nightcrawler_api.workflows import examples
from nightcrawler_api.workflows.queries import WorkflowParameters
from nightcrawler_api.workflows.schemas import (
    CreateBody,
    Deleted,
    UpdateBody,
    WorkflowCreated,
    WorkflowDetail,
    WorkflowList,
    WorkflowUpdated,
)

router = APIRouter(prefix="/api/workflows", tags=["workflows"], route_class=JsonRoute)

WorkflowId = Annotated[
    str, Path(alias="workflowId", description="The workflow's id, which is its metadata.name.")
]


@router.get(
    "",
    summary="List workflows",
    responses=reads(WorkflowList, "A page of workflows.", examples.LIST, 422, 503),
)
async def list_workflows(
    workflows: Workflows, caller: CallerOf, asked: Annotated[WorkflowParameters, Query()]
) -> Response:
    """Workflows that match all filters, newest first; those created in the same second by descending id."""
    return ETagResponse(workflows.page(asked, caller))


@router.post(
    "",
    status_code=201,
    summary="Create a workflow",
    responses=answers(
        201,
        WorkflowCreated,
        "The workflow is created; Location has its URL.",
        examples.CREATED,
        *BODIES,
        *WRITES,
    ),
)
async def create_workflow(
    workflows: Workflows,
    caller: CallerOf,
    body: Annotated[CreateBody, Body(openapi_examples=examples.CREATE)],
) -> Response:
    """Creating does not run it; execute does."""
    created = await workflows.create(body, caller)
    return json(created, 201, {"Location": f"{router.prefix}/{created['id']}"})


@router.get(
    "/{workflowId}",
    summary="Show a workflow",
    responses=reads(WorkflowDetail, "The workflow in full.", examples.DETAIL, 404, 422, 503),
)
async def show_workflow(workflows: Workflows, caller: CallerOf, workflow_id: WorkflowId) -> Response:
    """The workflow's spec, and its steps with their status in the latest execution."""
    return ETagResponse(await workflows.show(workflow_id, caller))


@router.put(
    "/{workflowId}",
    summary="Change a workflow",
    responses=answers(
        200, WorkflowUpdated, "The workflow is changed.", examples.UPDATED, 404, *BODIES, *WRITES
    ),
)
async def update_workflow(
    workflows: Workflows,
    caller: CallerOf,
    workflow_id: WorkflowId,
    body: Annotated[UpdateBody, Body(openapi_examples=examples.UPDATE)],
) -> Response:
    """A merge: objects are merged, lists replaced, null removes. Existing runs do not change."""
    return json(await workflows.update(workflow_id, body, caller))


@router.delete(
    "/{workflowId}",
    summary="Delete a workflow",
    responses=answers(200, Deleted, "The workflow and its runs are deleted.", examples.DELETED, 404, *WRITES),
)
async def delete_workflow(workflows: Workflows, caller: CallerOf, workflow_id: WorkflowId) -> Response:
    """Its live runs are stopped; all its runs are deleted too."""
    await workflows.delete(workflow_id, caller)
    return json({"success": True, "message": "Workflow deleted successfully"})
