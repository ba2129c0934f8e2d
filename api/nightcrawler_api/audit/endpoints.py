"""Route of audit records."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Response

from nightcrawler_api.audit.schemas import AuditList, AuditParameters
from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import Audit, CallerOf
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import reads
from nightcrawler_api.responses import ETagResponse

router = Routes(prefix="/api/audit", tags=["audit"])

_EXAMPLE: Final[dict[str, Any]] = {
    "records": [
        {
            "id": "7e0c3b3e-9a54-4f0c-8f0e-0d5b0b0e3c11",
            "time": "2025-10-17T15:45:00.482113Z",
            "caller": "John Doe",
            "callerId": "https://login.example.com#00u1",
            "roles": ["data scientist"],
            "origin": "rest",
            "action": "workflows.update",
            "object": {
                "kind": "Workflow",
                "namespace": "nightcrawler-workflows",
                "name": "wf-1001",
                "workflow": "wf-1001",
                "uid": "3f6a3b52-2b7e-4c7c-9c53-6d5f0f1f7c11",
            },
            "old": {"priority": "medium"},
            "new": {"priority": "high"},
            "allowed": True,
            "status": 200,
            "reason": "",
            "requestId": "8e03978e-40d5-43dd-bc93-6894a57f9324",
        }
    ]
}


@router.get(
    "",
    summary="List audit records",
    responses=reads(AuditList, "Audit records.", _EXAMPLE, 403, 409, 422, 503),
)
@performs(Operation.LIST_AUDIT_RECORDS)
async def list_audit_records(
    audit: Audit, caller: CallerOf, asked: Annotated[AuditParameters, Query()]
) -> Response:
    """Who did, or tried to do, what: each write and refusal, and reads of workflows with `auditLogging`.

    Records match all filters, the newest first: all of them for administrators, those of a namespace for its
    administrators, and for others those of the workflows that they may edit. 409 if the installation keeps
    none.
    """
    return ETagResponse(await audit.page(asked, caller))
