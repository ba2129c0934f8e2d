"""Use case of audit records: list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import msgspec

from nightcrawler_api.audit.contract import RecordQuery, Records
from nightcrawler_api.audit.record import wire
from nightcrawler_api.audit.schemas import AuditList, AuditParameters, AuditRecord
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, StateConflict

Editable = Callable[[Caller], Awaitable[frozenset[str] | None]]
"""The ids of the workflows that a caller may edit; None if that is all, and whatever else there is."""


async def _all(_: Caller) -> None:
    """What everybody may edit without identity."""


class AuditService:
    """Audit records, read from where they are kept.

    Args:
        records: Where they are kept; None if that is the log alone.
        editable: Whose records a caller may see: who may change a workflow may know who did.
    """

    def __init__(self, records: Records | None, editable: Editable = _all) -> None:
        self._records = records
        self._editable = editable

    async def page(self, asked: AuditParameters, caller: Caller) -> AuditList:
        """Records that match, the newest first."""
        if self._records is None:
            raise StateConflict(
                "this installation has no archive, so that audit records are in the facade's log alone; "
                "the administrator can have them kept with NIGHTCRAWLER_KEEP=archive"
            )
        query = replace(_query(asked), workflows=await self._editable(caller))
        found = await self._records.page(query, asked.limit + 1)
        shown: AuditList = {
            "records": [cast("AuditRecord", wire(one.record)) for one in found[: asked.limit]]
        }
        if len(found) > asked.limit:
            shown["nextCursor"] = _cursor(found[asked.limit - 1].position)
        return shown


def _query(asked: AuditParameters) -> RecordQuery:
    return RecordQuery(
        caller=asked.caller,
        action=asked.action,
        kind=asked.kind,
        name=asked.name,
        workflow=asked.workflow,
        request_id=asked.request_id,
        allowed=None if asked.allowed is None else asked.allowed == "true",
        begin=asked.from_,
        end=asked.to,
        before=_position(asked.cursor) if asked.cursor else None,
    )


def _cursor(position: tuple[int, int]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def _position(cursor: str) -> tuple[int, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[int, int]
        )
    except (binascii.Error, ValueError) as error:
        detail = "is not one of ours; send the nextCursor of a response"
        raise Invalid([{"parameter": "cursor", "detail": detail}]) from error
