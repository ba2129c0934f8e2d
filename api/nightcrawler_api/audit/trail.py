"""What a request has changed so far: services tell it, and the record of the request has it in the end.

It is in the context of the request, as its id is, so that no method has to pass it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from nightcrawler_api.audit.record import Mark, Subject
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of one object; `old` and `new` are None where there is no such state."""

    subject: Subject
    change: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None

    @property
    def mark(self) -> Mark:
        """By which its record is found."""
        return Mark(self.subject.namespace, self.subject.uid, self.change)


@dataclass(slots=True)
class Trail:
    """What a request has changed, or read if its path does not say it, and what is to be said besides.

    Attributes:
        hidden: Whether there is what the request asks for, and its caller was told that there is not.
    """

    changes: list[Changed] = field(default_factory=list)
    read: Subject | None = None
    remark: str = ""
    hidden: bool = False


TRAIL: Final[ContextVar[Trail | None]] = ContextVar("trail", default=None)
"""None outside requests, and in those that are not recorded."""


def changed(
    subject: Subject, change: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> None:
    """Note that the request has changed an object."""
    if (trail := TRAIL.get()) is not None:
        trail.changes.append(Changed(subject, change, old, new))


def read(subject: Subject) -> None:
    """Note what the request reads, if its path does not name the workflow."""
    if (trail := TRAIL.get()) is not None:
        trail.read = subject


def remark(text: str) -> None:
    """Note what else is to be said about the request."""
    if (trail := TRAIL.get()) is not None:
        trail.remark = text


def hidden(subject: Subject) -> None:
    """Note that its caller may not know of what the request asks for."""
    if (trail := TRAIL.get()) is not None:
        trail.read, trail.hidden = subject, True


def of_workflow(view: WorkflowView) -> Subject:
    """A workflow as the object of a record."""
    meta = view.metadata
    return Subject(WORKFLOWS.kind, meta.namespace, meta.name, meta.name, meta.uid)


def of_execution(view: ExecutionView) -> Subject:
    """An execution as the object of a record."""
    meta = view.metadata
    return Subject(EXECUTIONS.kind, meta.namespace, meta.name, view.spec.workflow_ref.name, meta.uid)


def state_of_execution(view: ExecutionView) -> dict[str, Any]:
    """What of an execution is recorded: what was asked for."""
    spec = view.spec
    state: dict[str, Any] = {"workflow": spec.workflow_ref.name, "parameters": dict(spec.parameters)}
    given = {"environment": spec.environment, "revision": spec.revision, "rerunOf": spec.trigger.rerun_of}
    return state | {key: value for key, value in given.items() if value is not None}
