"""Records of what was done, or asked for and refused; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from nightcrawler_api.audit.redaction import changes
from nightcrawler_crds import clock

UNKNOWN: Final = "unknown"
"""The caller of what others than a facade did, such as kubectl: the API server's audit log has who it was."""


class Origin(Enum):
    """Where a change came from."""

    REST = "rest"
    SCHEDULE = "schedule"
    CLUSTER = "cluster"
    """Whoever has rights in the cluster, by whatever means."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The object of a record.

    Attributes:
        kind: Its kind; empty if a request was refused before it named one.
        namespace: Its namespace.
        name: Its name; empty if there is none (yet), or there are several.
        workflow: The name of the workflow that it is, or belongs to; empty if there is none.
        uid: Its UID, if it is known.
    """

    kind: str = ""
    namespace: str = ""
    name: str = ""
    workflow: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A change of an object, by which its record is found: `change` is a generation, or a word."""

    namespace: str
    uid: str
    change: str


DELETED: Final = "deleted"
CANCELLED: Final = "cancelled"


CREATED: Final = "1"
"""The first generation."""


def of_generation(generation: int) -> str:
    """The change that led to a generation; the first is `CREATED`."""
    return str(generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that was done or refused.

    Attributes:
        id: Tells it from all others.
        time: When.
        caller: Who, for people.
        caller_id: Issuer and subject; empty without identity.
        roles: The caller's roles.
        origin: Where it came from.
        action: What: `workflows.update`.
        subject: To what.
        old: What was before, as far as it differs, without values that may be secret; None if nothing was.
        new: What is after.
        allowed: Whether it was done.
        status: The HTTP status; 0 of what did not come over REST.
        reason: Why it was refused, or what else is to be said.
        request_id: The id of the request.
        marks: The changes that this is about.
    """

    id: str
    time: datetime
    caller: str
    caller_id: str = ""
    roles: tuple[str, ...] = ()
    origin: Origin = Origin.REST
    action: str
    subject: Subject
    old: Any = None
    new: Any = None
    allowed: bool = True
    status: int = 0
    reason: str = ""
    request_id: str = ""
    marks: tuple[Mark, ...] = ()

    def with_states(self, old: Any, new: Any) -> Record:
        """This record with two states of its object: of them it has what differs and is not secret."""
        before, after = changes(old, new)
        return replace(self, old=before, new=after)


def wire(record: Record) -> Mapping[str, Any]:
    """A record as JSON, in the log and over REST."""
    subject = record.subject
    fields = {
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
        "workflow": subject.workflow,
        "uid": subject.uid,
    }
    return {
        "id": record.id,
        "time": clock.to_wire_micro(record.time),
        "caller": record.caller,
        "callerId": record.caller_id,
        "roles": list(record.roles),
        "origin": record.origin.value,
        "action": record.action,
        "object": {key: value for key, value in fields.items() if value},
        "old": record.old,
        "new": record.new,
        "allowed": record.allowed,
        "status": record.status,
        "reason": record.reason,
        "requestId": record.request_id,
    }
