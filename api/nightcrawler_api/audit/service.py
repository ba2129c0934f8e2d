"""Use case of audit records: list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Final, cast

import msgspec

from nightcrawler_api.audit.contract import RecordQuery, Records, Within
from nightcrawler_api.audit.record import Record, wire
from nightcrawler_api.audit.schemas import AuditList, AuditParameters, AuditRecord
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, NotAllowed, StateConflict
from nightcrawler_api.ids import Ids
from nightcrawler_crds.words.access import Access

_IDS: Final = {"name", "workflow"}

Readable = Callable[[Caller], Awaitable[Within | None]]
"""Whose records a caller may see: of what they may edit. None if that is everything."""


class AuditService:
    """Audit records, read from where they are kept.

    Args:
        records: Where they are kept; None if that is the log alone.
        ids: The ids of what they are about.
        readable: Whose records a caller may see: who may change a workflow may know who did.
    """

    def __init__(self, records: Records | None, ids: Ids, readable: Readable) -> None:
        self._records = records
        self._ids = ids
        self._readable = readable

    async def page(self, asked: AuditParameters, caller: Caller) -> AuditList:
        """Records that match, the newest first.

        Raises:
            NotAllowed: There is nothing that the caller may edit.
            StateConflict: None are kept.
        """
        within = await self._readable(caller)
        if within is not None and not within:
            raise NotAllowed(
                "you may see the audit records of workflows that you may edit, and there are none: that "
                f"takes the permission {Access.EDIT}, which their creators and administrators can give to "
                "one of your roles"
            )
        if self._records is None:
            raise StateConflict(
                "this installation has no archive, so that audit records are in the facade's log alone; "
                "the administrator can have them kept with NIGHTCRAWLER_KEEP=archive"
            )
        found = await self._records.page(self._query(asked, within), asked.limit + 1)
        shown: AuditList = {"records": [self._shown(one.record) for one in found[: asked.limit]]}
        if len(found) > asked.limit:
            shown["nextCursor"] = _cursor(found[asked.limit - 1].position)
        return shown

    def _shown(self, record: Record) -> AuditRecord:
        """A record with the ids of what it is about, in place of the names."""
        shown = dict(wire(record))
        about = shown["object"]
        named = {field: self._ids.of(record.subject.namespace, about[field]) for field in _IDS & set(about)}
        return cast("AuditRecord", {**shown, "object": {**about, **named}})

    def _query(self, asked: AuditParameters, within: Within | None) -> RecordQuery:
        return RecordQuery(
            caller=asked.caller,
            action=asked.action,
            kind=asked.kind,
            name=None if asked.name is None else self._ids.key(asked.name),
            workflow=None if asked.workflow is None else self._ids.key(asked.workflow),
            request_id=asked.request_id,
            allowed=None if asked.allowed is None else asked.allowed == "true",
            begin=asked.from_,
            end=asked.to,
            before=_position(asked.cursor) if asked.cursor else None,
            within=within,
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
