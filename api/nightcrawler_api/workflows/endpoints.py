"""Routes of workflows."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Body, Path, Query, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import Actions, CallerOf, DryRuns, IdempotencyKey, IfMatchOf, Workflows
from nightcrawler_api.dryruns import examples as dryruns
from nightcrawler_api.dryruns.schemas import WorkflowDryRun
from nightcrawler_api.errors import BODIES, WRITES
from nightcrawler_api.http.json_body import JsonRoute
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.http.yaml_body import YamlRoute
from nightcrawler_api.openapi import answers, creates, reads
from nightcrawler_api.responses import YAML, ETagResponse, YamlResponse, json, made
from nightcrawler_api.workflows import examples
from nightcrawler_api.workflows.queries import WorkflowParameters
from nightcrawler_api.workflows.schemas import (
    CreateBody,
    Deleted,
    ImportBody,
    UpdateBody,
    WorkflowClone,
    WorkflowCreated,
    WorkflowDetail,
    WorkflowList,
    WorkflowUpdated,
)

router = Routes(prefix="/api/workflows", tags=["workflows"], route_class=JsonRoute)
imports = Routes(prefix="/api/workflows", tags=["workflows"], route_class=YamlRoute)

_MANIFEST: Final = {"type": "object", "required": ["apiVersion", "kind", "metadata", "spec"]}
_EXPORT: Final = reads(None, "The manifest.", None, 404, 422, 503)
_EXPORT[200] |= {"content": {YAML: {"schema": _MANIFEST, "example": examples.EXPORTED}}}
_EXPORT[200].pop("model")

WorkflowId = Annotated[
    str, Path(alias="workflowId", description="The workflow's id, which is its metadata.name.")
]


@router.get(
    "",
    summary="List workflows",
    responses=reads(WorkflowList, "A page of workflows.", examples.LIST, 422, 503),
)
@performs(Operation.LIST_WORKFLOWS)
async def list_workflows(
    workflows: Workflows, caller: CallerOf, asked: Annotated[WorkflowParameters, Query()]
) -> Response:
    """Workflows that match all filters, newest first; those created in the same second by descending id."""
    return ETagResponse(await workflows.page(asked, caller))


@router.post(
    "",
    status_code=201,
    summary="Create a workflow",
    responses={
        **creates(
            WorkflowCreated,
            "The workflow is created; Location has its URL.",
            examples.CREATED,
            *BODIES,
            *WRITES,
        ),
        **answers(200, WorkflowDryRun, "With dryRun: what would become of it.", dryruns.WORKFLOW),
    },
)
@performs(Operation.CREATE_WORKFLOW)
async def create_workflow(
    workflows: Workflows,
    dry_runs: DryRuns,
    caller: CallerOf,
    key: IdempotencyKey,
    body: Annotated[CreateBody, Body(openapi_examples=examples.CREATE)],
    dry_run: Annotated[
        bool, Query(alias="dryRun", description="Create nothing, and answer what would be.")
    ] = False,
) -> Response:
    """Creating does not run it; execute does.

    With `dryRun` the same is refused, and a workflow that is not comes with what an execution would do.
    """
    if dry_run:
        return json(await dry_runs.workflow(body, caller))
    created = await workflows.create(body, caller, key)
    return made(created, f"{router.prefix}/{created.shown['id']}")


@router.get(
    "/{workflowId}",
    summary="Show a workflow",
    responses=reads(WorkflowDetail, "The workflow in full.", examples.DETAIL, 404, 422, 503),
)
@performs(Operation.SHOW_WORKFLOW)
async def show_workflow(workflows: Workflows, caller: CallerOf, workflow_id: WorkflowId) -> Response:
    """The workflow's spec, and its steps with their status in the latest execution."""
    shown = await workflows.show(workflow_id, caller)
    return ETagResponse(shown, version=shown["version"])


@router.put(
    "/{workflowId}",
    summary="Change a workflow",
    responses=answers(
        200, WorkflowUpdated, "The workflow is changed.", examples.UPDATED, 404, 412, *BODIES, *WRITES
    ),
)
@performs(Operation.UPDATE_WORKFLOW)
async def update_workflow(
    workflows: Workflows,
    caller: CallerOf,
    workflow_id: WorkflowId,
    if_match: IfMatchOf,
    body: Annotated[UpdateBody, Body(openapi_examples=examples.UPDATE)],
) -> Response:
    """A merge: objects are merged, lists replaced, null removes. Existing runs do not change."""
    return json(await workflows.update(workflow_id, body, caller, if_match))


@router.delete(
    "/{workflowId}",
    summary="Delete a workflow",
    responses=answers(
        200, Deleted, "The workflow and its runs are deleted.", examples.DELETED, 404, 412, *WRITES
    ),
)
@performs(Operation.DELETE_WORKFLOW)
async def delete_workflow(
    workflows: Workflows, caller: CallerOf, workflow_id: WorkflowId, if_match: IfMatchOf
) -> Response:
    """Its live runs are stopped; all its runs are deleted too."""
    await workflows.delete(workflow_id, caller, if_match)
    return json({"success": True, "message": "Workflow deleted successfully"})


@router.post(
    "/{workflowId}/pause",
    summary="Pause a workflow",
    responses=answers(200, WorkflowUpdated, "Its schedule is paused.", examples.UPDATED, 404, 412, *WRITES),
)
@performs(Operation.PAUSE_WORKFLOW)
async def pause_workflow(
    actions: Actions, caller: CallerOf, workflow_id: WorkflowId, if_match: IfMatchOf
) -> Response:
    """Its schedule starts no runs until it is resumed; runs that have begun go on. Idempotent."""
    return json(await actions.suspend(workflow_id, caller, if_match, suspend=True))


@router.post(
    "/{workflowId}/resume",
    summary="Resume a workflow",
    responses=answers(200, WorkflowUpdated, "Its schedule is in force.", examples.UPDATED, 404, 412, *WRITES),
)
@performs(Operation.RESUME_WORKFLOW)
async def resume_workflow(
    actions: Actions, caller: CallerOf, workflow_id: WorkflowId, if_match: IfMatchOf
) -> Response:
    """Idempotent."""
    return json(await actions.suspend(workflow_id, caller, if_match, suspend=False))


@router.post(
    "/{workflowId}/clone",
    status_code=201,
    summary="Copy a workflow",
    responses=creates(
        WorkflowCreated,
        "The copy is created; Location has its URL.",
        examples.CREATED,
        404,
        *BODIES,
        *WRITES,
    ),
)
@performs(Operation.CLONE_WORKFLOW)
async def clone_workflow(
    actions: Actions,
    caller: CallerOf,
    workflow_id: WorkflowId,
    key: IdempotencyKey,
    body: Annotated[WorkflowClone | None, Body(openapi_examples=examples.CLONE)] = None,
) -> Response:
    """A new workflow with the same definition and no runs; if it has a schedule, it is paused."""
    created = await actions.clone(workflow_id, body or WorkflowClone(), caller, key)
    return made(created, f"{router.prefix}/{created.shown['id']}")


@router.get(
    "/{workflowId}/export",
    status_code=200,
    summary="Export a workflow",
    responses=_EXPORT,
    response_class=YamlResponse,
)
@performs(Operation.EXPORT_WORKFLOW)
async def export_workflow(actions: Actions, caller: CallerOf, workflow_id: WorkflowId) -> Response:
    """Its manifest as YAML, which kubectl can apply in any namespace."""
    text = await actions.export(workflow_id, caller)
    return YamlResponse(text)


@imports.post(
    "/import",
    status_code=201,
    summary="Import a workflow",
    responses=creates(
        WorkflowCreated,
        "The workflow is created; Location has its URL.",
        examples.CREATED,
        *BODIES,
        *WRITES,
    ),
)
@performs(Operation.IMPORT_WORKFLOW)
async def import_workflow(
    actions: Actions,
    caller: CallerOf,
    key: IdempotencyKey,
    body: Annotated[ImportBody, Body(openapi_examples=examples.IMPORT)],
) -> Response:
    """A manifest in YAML or JSON, as export writes it and kubectl applies it.

    Of its metadata only the name counts; 409 if there is a workflow of that name.
    """
    created = await actions.import_(body, caller, key)
    return made(created, f"{router.prefix}/{created.shown['id']}")
