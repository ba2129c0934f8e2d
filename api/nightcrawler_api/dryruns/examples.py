"""Responses to dry runs as `/docs` shows them."""

from __future__ import annotations

from typing import Any, Final

EXECUTION: Final[dict[str, Any]] = {
    "dryRun": True,
    "workflowId": "wf-1001",
    "wouldRun": True,
    "waitingReason": "ExceededQuota",
    "message": "the step 'Data Preparation' would wait: exceeded quota: gpus, requested: "
    "requests.nvidia.com/gpu=8, used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=8",
    "environment": "production",
    "estimatedDuration": "01:15:00",
    "estimatedEnd": "2025-10-17T17:15:00Z",
    "steps": [],
    "notChecked": [],
}

WORKFLOW: Final[dict[str, Any]] = {
    "dryRun": True,
    "name": "New ML Training Pipeline",
    "description": "Handles distributed training across multiple GPU nodes",
    "priority": "medium",
    "execution": {
        "wouldRun": True,
        "message": "it would run in production",
        "environment": "production",
        "estimatedDuration": "01:15:00",
        "estimatedEnd": "2025-10-17T17:15:00Z",
        "steps": ["Data Preparation"],
        "notChecked": [],
    },
}
