"""Routes of revisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import CallerOf, Revisions
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import reads
from nightcrawler_api.responses import ETagResponse
from nightcrawler_api.revisions import examples
from nightcrawler_api.revisions.schemas import (
    RevisionDetail,
    RevisionDifference,
    RevisionList,
    RevisionParameters,
)
from nightcrawler_api.revisions.service import LATEST

router = Routes(prefix="/api/workflows/{workflowId}/revisions", tags=["workflows"])

WorkflowId = Annotated[str, Path(alias="workflowId", description="The workflow's id.")]
RevisionId = Annotated[str, Path(alias="revisionId", description="The revision's id, from the list.")]


@router.get(
    "",
    summary="List a workflow's revisions",
    responses=reads(RevisionList, "The revisions.", examples.LIST, 403, 404, 422, 503),
)
@performs(Operation.LIST_REVISIONS)
async def list_revisions(
    revisions: Revisions,
    caller: CallerOf,
    workflow_id: WorkflowId,
    asked: Annotated[RevisionParameters, Query()],
) -> Response:
    """What its executions have used of it, newest first; a revision goes with the last that used it."""
    return ETagResponse(await revisions.page(workflow_id, asked, caller))


@router.get(
    "/{revisionId}",
    summary="Show a revision of a workflow",
    responses=reads(RevisionDetail, "The revision in full.", examples.DETAIL, 403, 404, 422, 503),
)
@performs(Operation.SHOW_REVISION)
async def show_revision(
    revisions: Revisions, caller: CallerOf, workflow_id: WorkflowId, revision_id: RevisionId
) -> Response:
    """The fields of the workflow that an execution depends on, as they were written then."""
    return ETagResponse(await revisions.show(workflow_id, revision_id, caller))


@router.get(
    "/{revisionId}/difference",
    summary="Compare two revisions of a workflow",
    responses=reads(RevisionDifference, "The differences.", examples.DIFFERENCE, 403, 404, 422, 503),
)
@performs(Operation.COMPARE_REVISIONS)
async def compare_revisions(
    revisions: Revisions,
    caller: CallerOf,
    workflow_id: WorkflowId,
    revision_id: RevisionId,
    to: Annotated[
        str,
        Query(max_length=253, description=f"Another revision; {LATEST}: the workflow as it is now."),
    ] = LATEST,
) -> Response:
    """Each place whose value differs, with both values."""
    return ETagResponse(await revisions.compare(workflow_id, revision_id, to, caller))
