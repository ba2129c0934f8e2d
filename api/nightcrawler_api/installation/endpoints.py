"""Route of the installation."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import CallerOf, FacadeOf
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.installation.schemas import InstallationStatus
from nightcrawler_api.openapi import answers
from nightcrawler_api.responses import json

router = Routes(prefix="/api/status", tags=["health"])

_EXAMPLE: Final[dict[str, Any]] = {
    "healthy": False,
    "version": "0.1.0",
    "namespace": "nightcrawler-workflows",
    "operator": {
        "working": False,
        "leader": "nightcrawler-operator-6f7c9d8b5-x2x7p_3f1c0a9be412",
        "lastSeen": "2025-10-17T15:58:21Z",
        "silentSeconds": 99.4,
        "detail": "the leader has been silent for 99 seconds, and no run goes on until one does: look at "
        "the operator's Pods, and at their logs",
        "version": "0.1.0",
    },
    "apiServer": {"reachable": True, "seconds": 0.004, "version": "v1.34.1"},
    "caches": [
        {
            "kind": "workflows",
            "objects": 14,
            "unreadable": 0,
            "synced": True,
            "stale": False,
            "silentSeconds": 12.3,
        }
    ],
    "streams": {"open": 3, "limit": 1000},
    "archive": {"usable": True, "waiting": 0, "behindSeconds": 0.0},
    "keptLogs": {"usable": True},
}


@router.get(
    "",
    summary="Show the state of the installation",
    responses=answers(200, InstallationStatus, "The state.", _EXAMPLE),
)
@performs(Operation.SHOW_STATUS)
async def show_status(facade: FacadeOf, caller: CallerOf) -> Response:
    """Always 200, also while nothing else can be served: `healthy` says whether a person is needed."""
    return json(await facade.installation.show(caller))
