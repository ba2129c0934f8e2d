"""Requests and responses about audit records."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from nightcrawler_api.pagination import DEFAULT_SIZE, Moment, QueryParameters, Size, Unset

_Word = Annotated[Annotated[str, Field(max_length=256)] | None, Unset()]


class AuditParameters(QueryParameters):
    """Query parameters of the list of audit records."""

    caller: _Word = Field(None, description="Only what this caller did; unknown: kubectl and others.")
    action: _Word = Field(None, description="Only this action, such as workflows.update.")
    kind: Annotated[Literal["Workflow", "WorkflowExecution"] | None, Unset()] = Field(
        None, description="Only objects of this kind."
    )
    name: _Word = Field(None, description="Only the object with this id.")
    workflow: _Word = Field(None, description="Only the workflow with this id, and its executions.")
    request_id: _Word = Field(None, description="Only the request with this id.")
    allowed: Annotated[Literal["true", "false"] | None, Unset()] = Field(
        None, description="Only what was done (true), or refused (false)."
    )
    from_: Moment = Field(
        None, alias="from", description="Only what was done at this time or later: RFC 3339, or a date."
    )
    to: Moment = Field(None, description="Only what was done before this time: RFC 3339, or a date.")
    limit: Size = Field(DEFAULT_SIZE, description="Records in the response.")
    cursor: Annotated[Annotated[str, Field(max_length=128)] | None, Unset()] = Field(
        None, description="The nextCursor of a response to the same filters: what follows it."
    )


class AuditObject(TypedDict):
    """What a record is about; several objects, or none that was named, have no `name`."""

    kind: NotRequired[str]
    namespace: NotRequired[str]
    name: NotRequired[str]
    workflow: NotRequired[str]
    uid: NotRequired[str]


class AuditRecord(TypedDict):
    """What was done, or refused.

    `old` and `new` have what differs, without values of environment variables and parameters. `origin` is
    rest, schedule, or cluster: that was somebody with rights in the cluster, such as with kubectl.
    """

    id: str
    time: str
    caller: str
    callerId: str
    roles: list[str]
    origin: Literal["rest", "schedule", "cluster"]
    action: str
    object: AuditObject
    old: Any
    new: Any
    allowed: bool
    status: int
    reason: str
    requestId: str


class AuditList(TypedDict):
    """Audit records, the newest first; `nextCursor` is there if others follow."""

    records: list[AuditRecord]
    nextCursor: NotRequired[str]
