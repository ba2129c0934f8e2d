"""Requests and answers about executions as `/docs` shows them."""

from __future__ import annotations

from typing import Any, Final

PARAMETERS: Final[dict[str, Any]] = {"datasetPath": "s3://datasets/imagenet", "batchSize": 64, "epochs": 10}

EXECUTE: Final[dict[str, Any]] = {
    "with parameters": {
        "summary": "In an environment, with parameters",
        "value": {"environment": "production", "parameters": PARAMETERS},
    },
    "as it is": {"summary": "Where the workflow says, with its defaults", "value": {}},
}

STARTED: Final[dict[str, Any]] = {
    "executionId": "exec-5002",
    "workflowId": "wf-1001",
    "status": "running",
    "startTime": "2025-10-17T16:00:00Z",
    "estimatedDuration": "01:15:00",
    "estimatedWait": "00:20:00",
    "estimatedEnd": "2025-10-17T17:35:00Z",
    "estimatedCost": {"amount": 25.6, "currency": "USD"},
}

LIST: Final[dict[str, Any]] = {
    "executions": [
        {
            "id": "exec-5001",
            "status": "completed",
            "startTime": "2025-07-10T14:45:00Z",
            "endTime": "2025-07-10T16:01:25Z",
            "duration": "01:16:25",
            "executor": "John Doe",
            "resourceUsage": {"cpu": 78, "memory": 65, "gpu": 92},
        },
        {
            "id": "exec-4892",
            "status": "failed",
            "startTime": "2025-07-05T09:30:00Z",
            "endTime": "2025-07-05T10:15:45Z",
            "duration": "00:45:45",
            "executor": "John Doe",
            "error": "GPU memory allocation failed during training step",
        },
    ],
    "total": 3,
    "limit": 10,
    "offset": 0,
}

TABLE: Final = (
    "id,workflowId,workflow,status,startTime,endTime,duration,executor\r\n"
    "exec-5001,wf-1001,Image Classification Training,completed,2025-07-10T14:45:00Z,2025-07-10T16:01:25Z,"
    "01:16:25,John Doe\r\n"
)

LIST_OF_ALL: Final[dict[str, Any]] = {
    "executions": [
        {"id": row["id"], "workflowId": "wf-1001", **row, "workflow": "Image Classification Training"}
        for row in LIST["executions"]
    ],
    "total": 3,
    "limit": 2,
    "offset": 0,
    "nextCursor": "WyItY3JlYXRlZEF0IixudWxsLDE3NTE3MDc4MDAuMCwidGVhbS1hIiwiZXhlYy00ODkyIl0",
}

DETAIL: Final[dict[str, Any]] = {
    "id": "exec-5001",
    "workflowId": "wf-1001",
    "status": "completed",
    "startTime": "2025-07-10T14:45:00Z",
    "endTime": "2025-07-10T16:01:25Z",
    "duration": "01:16:25",
    "executor": "John Doe",
    "resourceUsage": {"cpu": 78, "memory": 65, "gpu": 92},
    "environment": "dgx-california",
    "cost": {"amount": 26.084444, "currency": "USD"},
    "placementMessage": "runs in dgx-california: it costs least there, about 25.60 USD",
    "placement": [
        {
            "environment": "dgx-california",
            "estimatedWait": "00:20:00",
            "estimatedDuration": "01:15:00",
            "estimatedCost": {"amount": 25.6, "currency": "USD"},
        },
        {
            "environment": "aws-virginia",
            "estimatedWait": "00:00:00",
            "estimatedDuration": "01:15:00",
            "estimatedCost": {"amount": 40.96, "currency": "USD"},
            "passedOver": "dgx-california is better for cost: about 25.60 USD",
        },
    ],
    "stepExecutions": [
        {
            "name": "Data Preparation",
            "status": "completed",
            "startTime": "2025-07-10T14:45:00Z",
            "endTime": "2025-07-10T14:55:25Z",
            "duration": "00:10:25",
            "attempt": 1,
            "exitCode": 0,
            "logs": [
                {
                    "timestamp": "14:45:10",
                    "level": "info",
                    "message": "Starting data preparation...",
                    "time": "2025-07-10T14:45:10.482113205Z",
                }
            ],
        }
    ],
    "parameters": PARAMETERS,
}

DETAIL_OF_ANY: Final[dict[str, Any]] = {
    **DETAIL,
    "workflow": "Image Classification Training",
    "workflowDeleted": True,
    "archived": True,
}

RERUN: Final[dict[str, Any]] = {
    "as it was": {"summary": "What the run did, with its parameters", "value": {}},
    "changed": {
        "summary": "The workflow as it is now, with other parameters",
        "value": {"revision": "latest", "parameters": PARAMETERS},
    },
}

BULK_CANCELLED: Final[dict[str, Any]] = {
    "dryRun": False,
    "executions": ["exec-5002", "exec-5003"],
    "notCancelled": [{"id": "exec-5004", "detail": "the execution 'exec-5004' has ended: it is completed"}],
    "remaining": 0,
}

CANCELLING: Final[dict[str, Any]] = {
    "success": True,
    "message": "Execution cancellation requested",
    "executionId": "exec-5002",
    "status": "cancelling",
}

TRACE: Final[dict[str, Any]] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "nightcrawler"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "nightcrawler"},
                    "spans": [
                        {
                            "traceId": "0123456789abcdef0123456789abcdef",
                            "spanId": "0123456789abcdef",
                            "name": "image-classification",
                            "kind": 1,
                            "startTimeUnixNano": "1752158700000000000",
                            "endTimeUnixNano": "1752163285000000000",
                            "attributes": [],
                            "status": {"code": 1},
                        }
                    ],
                }
            ],
        }
    ]
}
