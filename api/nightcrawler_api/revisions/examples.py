"""Responses about revisions as `/docs` shows them."""

from __future__ import annotations

from typing import Any, Final

_ROW: Final[dict[str, Any]] = {
    "id": "wf-1001-3n7qk5xw2c",
    "generation": 4,
    "createdAt": "2025-07-10T14:45:00Z",
    "current": True,
    "executions": 2,
}

LIST: Final[dict[str, Any]] = {
    "revisions": [
        _ROW,
        {
            "id": "wf-1001-c5u2mz7rda",
            "generation": 1,
            "createdAt": "2025-06-15T10:32:10Z",
            "current": False,
            "executions": 7,
            "archived": True,
        },
    ],
    "total": 2,
    "page": 1,
    "pageSize": 10,
}

DETAIL: Final[dict[str, Any]] = {
    **_ROW,
    "content": {
        "steps": [{"name": "Model Training", "image": "python:3.11-slim-bookworm", "timeout": "2 hours"}],
        "config": {"retries": 3, "computeProfile": "GPU-Optimized"},
        "profiles": {"GPU-Optimized": {"displayName": "GPU-Optimized", "resources": {"gpu": 1}}},
    },
}

DIFFERENCE: Final[dict[str, Any]] = {
    "old": "wf-1001-c5u2mz7rda",
    "new": "wf-1001-3n7qk5xw2c",
    "differences": [
        {"path": "/steps/Model Training/timeout", "old": "1 hour", "new": "2 hours"},
        {"path": "/config/retries", "new": 3},
    ],
}
