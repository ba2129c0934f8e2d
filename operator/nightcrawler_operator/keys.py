"""The keys of the work queue: one for each thing to reconcile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutionKey:
    """A live execution to reconcile."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class WorkflowKey:
    """A workflow to reconcile: its conditions, its last run, its history."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace}


@dataclass(frozen=True, slots=True)
class LeftoverKey:
    """Jobs whose execution is not live."""

    namespace: str
    name: str
    uid: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class DutyKey:
    """An execution that has ended and still owes something."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class EventsKey:
    """An execution, or a workflow, about which Kubernetes Events are to be sent."""

    namespace: str
    name: str
    uid: str
    kind: str = "WorkflowExecution"

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class ScheduleKey:
    """The schedule of a workflow."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace}


EffectKey = EventsKey
"""What the effects' queue holds."""
WorkKey = ExecutionKey | WorkflowKey | LeftoverKey | DutyKey | ScheduleKey
