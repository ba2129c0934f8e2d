"""What can be done over REST, and what each takes. Every route declares one; pure.

The declaration is checked when the application is made: a route without one does not start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeVar

from nightcrawler_crds.words.access import Access

F = TypeVar("F", bound=Callable[..., Any])

Verb = Literal["get", "list", "watch", "create", "update", "delete", "execute", "cancel"]
"""What a SubjectAccessReview asks for, on `workflows.nightcrawler.dev`."""

_ATTRIBUTE: Final = "__nightcrawler_operation__"


class Reach(Enum):
    """What an operation is about, and so how it is decided."""

    OPEN = "open"
    """Probes, which need no authentication."""
    CALLER = "caller"
    """Nothing of a namespace: every caller may."""
    SEEN = "seen"
    """Everything that the caller sees; the rest is left out."""
    NAMESPACE = "namespace"
    """A namespace: its team may."""
    WORKFLOW = "workflow"
    """One workflow, or one of its runs."""


@dataclass(frozen=True, slots=True)
class _Takes:
    reach: Reach
    verb: Verb = "get"
    access: Access = Access.VIEW


_READ: Final = _Takes(Reach.WORKFLOW)


class Operation(Enum):
    """An operation by its name, which records of what was done have too."""

    PROBE = "probe", _Takes(Reach.OPEN)
    LIST_WORKFLOWS = "workflows.list", _Takes(Reach.SEEN, "list")
    CREATE_WORKFLOW = "workflows.create", _Takes(Reach.NAMESPACE, "create", Access.EDIT)
    IMPORT_WORKFLOW = "workflows.import", _Takes(Reach.NAMESPACE, "create", Access.EDIT)
    SHOW_WORKFLOW = "workflows.get", _READ
    EXPORT_WORKFLOW = "workflows.export", _READ
    CLONE_WORKFLOW = "workflows.clone", _READ
    """Also takes creating one in the namespace of the copy."""
    UPDATE_WORKFLOW = "workflows.update", _Takes(Reach.WORKFLOW, "update", Access.EDIT)
    """By what is changed it takes Execute or Full Access instead (`decisions.access_for`)."""
    DELETE_WORKFLOW = "workflows.delete", _Takes(Reach.WORKFLOW, "delete", Access.DELETE)
    PAUSE_WORKFLOW = "workflows.pause", _Takes(Reach.WORKFLOW, "execute", Access.EXECUTE)
    RESUME_WORKFLOW = "workflows.resume", _Takes(Reach.WORKFLOW, "execute", Access.EXECUTE)
    LIST_REVISIONS = "revisions.list", _READ
    SHOW_REVISION = "revisions.get", _READ
    COMPARE_REVISIONS = "revisions.compare", _READ
    EXECUTE = "executions.create", _Takes(Reach.WORKFLOW, "execute", Access.EXECUTE)
    RERUN = "executions.rerun", _Takes(Reach.WORKFLOW, "execute", Access.EXECUTE)
    CANCEL = "executions.cancel", _Takes(Reach.WORKFLOW, "cancel", Access.EXECUTE)
    CANCEL_MANY = "executions.cancelMany", _Takes(Reach.SEEN, "cancel", Access.EXECUTE)
    LIST_EXECUTIONS = "executions.list", _READ
    LIST_ALL_EXECUTIONS = "executions.listAll", _Takes(Reach.SEEN, "list")
    SHOW_EXECUTION = "executions.get", _READ
    SHOW_ANY_EXECUTION = "executions.getAny", _READ
    """Under no workflow, which may be gone."""
    SHOW_TRACE = "executions.trace", _READ
    SHOW_TIMELINE = "executions.timeline", _READ
    SHOW_LOG = "logs.get", _READ
    SHOW_STATISTICS = "statistics.get", _Takes(Reach.SEEN, "list")
    FOLLOW_CHANGES = "events.watch", _Takes(Reach.SEEN, "watch")
    PREVIEW_SCHEDULE = "schedules.preview", _Takes(Reach.CALLER)
    LIST_ENVIRONMENTS = "environments.list", _Takes(Reach.CALLER)
    SHOW_ENVIRONMENT = "environments.get", _Takes(Reach.CALLER)
    LIST_PROFILES = "computeProfiles.list", _Takes(Reach.CALLER)
    SHOW_PROFILE = "computeProfiles.get", _Takes(Reach.CALLER)
    SHOW_STATUS = "status.get", _Takes(Reach.CALLER)
    LIST_AUDIT_RECORDS = "audit.list", _Takes(Reach.SEEN, "update", Access.EDIT)
    """Of the workflows that the caller may edit; administrators see the rest too."""

    def __init__(self, title: str, takes: _Takes) -> None:
        self.title = title
        self.reach = takes.reach
        self.verb: Verb = takes.verb
        self.access = takes.access


def performs(operation: Operation) -> Callable[[F], F]:
    """Declare the operation of a route's function."""

    def declare(function: F) -> F:
        setattr(function, _ATTRIBUTE, operation)
        return function

    return declare


def operation_of(function: Callable[..., Any]) -> Operation | None:
    """The operation that a route's function declares."""
    found: Operation | None = getattr(function, _ATTRIBUTE, None)
    return found
