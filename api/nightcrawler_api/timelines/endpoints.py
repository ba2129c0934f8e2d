"""Route of timelines."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import CallerOf, Timelines
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import reads
from nightcrawler_api.responses import ETagResponse
from nightcrawler_api.timelines.schemas import Timeline

router = Routes(prefix="/api/workflows/{workflowId}/executions/{executionId}", tags=["executions"])

_EXAMPLE: Final[dict[str, Any]] = {
    "executionId": "exec-5001",
    "workflowId": "wf-1001",
    "status": "completed",
    "createdAt": "2025-07-10T14:44:58Z",
    "acceptedAt": "2025-07-10T14:44:58Z",
    "placedAt": "2025-07-10T14:44:58Z",
    "startTime": "2025-07-10T14:45:00Z",
    "endTime": "2025-07-10T16:01:25Z",
    "steps": [
        {
            "name": "Data Preparation",
            "status": "completed",
            "dependsOn": [],
            "readyTime": "2025-07-10T14:44:58Z",
            "startTime": "2025-07-10T14:45:00Z",
            "endTime": "2025-07-10T14:55:25Z",
            "waitSeconds": 2.0,
            "durationSeconds": 625.0,
            "attempt": 1,
        },
        {
            "name": "Model Training",
            "status": "completed",
            "dependsOn": ["Data Preparation"],
            "readyTime": "2025-07-10T14:55:25Z",
            "startTime": "2025-07-10T15:15:55Z",
            "endTime": "2025-07-10T16:01:25Z",
            "durationSeconds": 2730.0,
            "attempt": 2,
        },
    ],
    "criticalPath": ["Data Preparation", "Model Training"],
}


@router.get(
    "/timeline",
    summary="Show the times of an execution",
    responses=reads(Timeline, "The timeline.", _EXAMPLE, 404, 422, 503),
)
@performs(Operation.SHOW_TIMELINE)
async def show_timeline(
    timelines: Timelines,
    caller: CallerOf,
    workflow_id: Annotated[str, Path(alias="workflowId", description="The workflow's id.")],
    execution_id: Annotated[str, Path(alias="executionId", description="The execution's id.")],
) -> Response:
    """When each step could start, started and ended, and which steps decided when the execution ended."""
    return ETagResponse(await timelines.show(workflow_id, execution_id, caller))
