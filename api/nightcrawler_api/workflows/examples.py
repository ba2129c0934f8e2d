"""Requests and answers about workflows as `/docs` shows them."""

from __future__ import annotations

from typing import Any, Final

LIST: Final[dict[str, Any]] = {
    "workflows": [
        {
            "id": "wf-1001",
            "name": "GPU Training Pipeline",
            "description": "Allocates GPUs for ML model training",
            "status": "active",
            "priority": "high",
            "lastRun": "2025-10-15T10:30:00Z",
        }
    ],
    "total": 5,
    "page": 1,
    "pageSize": 10,
}

DETAIL: Final[dict[str, Any]] = {
    "id": "wf-1001",
    "name": "Image Classification Training",
    "description": "A workflow for training image classification models on the ImageNet dataset "
    "using distributed GPU training.",
    "status": "active",
    "priority": "high",
    "creator": "John Doe",
    "createdAt": "2025-06-15T10:30:00Z",
    "lastRun": "2025-07-10T14:45:00Z",
    "environments": ["production", "staging"],
    "tags": ["machine-learning", "computer-vision", "training"],
    "steps": [
        {"name": "Data Preparation", "status": "completed", "duration": "10:25", "image": "busybox:1"},
        {
            "name": "Model Training",
            "status": "completed",
            "duration": "45:30",
            "image": "python:3.11-slim-bookworm",
        },
        {"name": "Deployment", "status": "pending", "duration": "00:00", "image": "busybox:1"},
    ],
    "config": {
        "timeout": "2 hours",
        "retries": 3,
        "retryDelay": "30 seconds",
        "computeProfile": "GPU-Optimized",
        "resources": {"cpu": "16 cores", "memory": "64 GB", "gpu": "8x NVIDIA A100"},
        "storage": {"persistentVolume": "500 GB", "ephemeralStorage": "200 GB"},
        "notifications": {"email": True, "slack": True, "webhook": False},
        "notificationEvents": ["start", "complete", "fail"],
        "schedule": {
            "type": "cron",
            "cron": "0 0 * * 1",
            "description": "Runs every Monday at midnight",
            "skipOnFailure": True,
            "catchUp": False,
        },
        "security": {
            "visibility": "Team",
            "auditLogging": True,
            "secureSecrets": True,
            "permissions": [
                {"role": "Admin", "access": "Full Access"},
                {"role": "Data Scientist", "access": "Execute, Edit"},
                {"role": "Viewer", "access": "View Only"},
            ],
        },
    },
    "version": "3f6a3b52-2b7e-4c7c-9c53-6d5f0f1f7c11.7",
    "conditions": [{"type": "Accepted", "status": "True", "reason": "Valid", "message": "it can run"}],
}

CREATE: Final[dict[str, Any]] = {
    "from the dashboard": {
        "summary": "As the dashboard's form sends it",
        "value": {
            "name": "New ML Training Pipeline",
            "description": "Handles distributed training across multiple GPU nodes",
            "priority": "medium",
            "environmentStrategy": "time",
            "traceLevel": "med",
            "environments": {"awsVirginia": True, "dgxCloudCalifornia": False},
            "options": {"enableNotifications": False, "enableLogging": True, "enableRetry": False},
        },
    },
    "with steps": {
        "summary": "With steps of its own",
        "value": {
            "name": "Hello",
            "steps": [{"name": "Greet", "image": "busybox:1", "command": ["sh", "-c", 'echo "hello"']}],
            "config": {"timeout": "10 minutes", "resources": {"cpu": "100m", "memory": "64 MB"}},
        },
    },
}

CREATED: Final[dict[str, Any]] = {
    "id": "wf-1006",
    "name": "New ML Training Pipeline",
    "description": "Handles distributed training across multiple GPU nodes",
    "status": "inactive",
    "priority": "medium",
    "creator": "John Doe",
    "createdAt": "2025-10-17T14:30:00Z",
    "version": "3f6a3b52-2b7e-4c7c-9c53-6d5f0f1f7c11.1",
}

UPDATE: Final[dict[str, Any]] = {
    "from the dashboard": {
        "summary": "As the dashboard's form sends it",
        "value": {
            "name": "Updated ML Training Pipeline",
            "description": "Updated description for the workflow",
            "priority": "high",
            "options": {"enableNotifications": True, "enableLogging": True, "enableRetry": True},
        },
    },
    "one field of config": {
        "summary": "One field changed, one removed, all others kept",
        "value": {"config": {"timeout": "3 hours", "resources": {"gpu": None}}},
    },
}

UPDATED: Final[dict[str, Any]] = {
    "id": "wf-1001",
    "name": "Updated ML Training Pipeline",
    "description": "Updated description for the workflow",
    "status": "active",
    "priority": "high",
    "updatedAt": "2025-10-17T15:45:00Z",
    "version": "3f6a3b52-2b7e-4c7c-9c53-6d5f0f1f7c11.8",
}

CLONE: Final[dict[str, Any]] = {
    "named": {"summary": "Under a name of its own", "value": {"name": "Nightly training"}},
    "as it is": {"summary": "As a copy of the other", "value": {}},
}

EXPORTED: Final[dict[str, Any]] = {
    "apiVersion": "nightcrawler.dev/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "wf-1001"},
    "spec": {"displayName": "GPU Training Pipeline", "steps": [{"name": "Greet", "image": "busybox:1"}]},
}

IMPORT: Final[dict[str, Any]] = {
    "exported": {"summary": "As export writes it", "value": EXPORTED},
    "renamed": {
        "summary": "Under an id of its own",
        "value": {key: value for key, value in EXPORTED.items() if key != "metadata"},
    },
}

DELETED: Final[dict[str, Any]] = {"success": True, "message": "Workflow deleted successfully"}
