"""The keys of the work queue: one for each thing to reconcile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _OfAnExecution:
    """The key of something that belongs to one execution."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class ExecutionKey(_OfAnExecution):
    """A live execution to reconcile."""


@dataclass(frozen=True, slots=True)
class _OfAWorkflow:
    """The key of something that belongs to one workflow."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace}


@dataclass(frozen=True, slots=True)
class WorkflowKey(_OfAWorkflow):
    """A workflow to reconcile: its conditions, its last run, its history."""


@dataclass(frozen=True, slots=True)
class LeftoverKey(_OfAnExecution):
    """Jobs whose execution is not live."""

    uid: str


@dataclass(frozen=True, slots=True)
class DutyKey(_OfAnExecution):
    """An execution that has ended and still owes something."""


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
class NoticeKey:
    """A message to be sent: its key in the status of an execution, or of a workflow."""

    namespace: str
    name: str
    uid: str
    notice: str
    kind: str = "WorkflowExecution"

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class PodEventsKey(_OfAnExecution):
    """An attempt of a live run whose Pod's Events are to be collected for the trace."""

    uid: str
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TraceKey(_OfAnExecution):
    """A run that has ended, whose trace is to be completed and exported."""

    uid: str


@dataclass(frozen=True, slots=True)
class ScheduleKey(_OfAWorkflow):
    """The schedule of a workflow."""


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """An Environment, whose status shows what is free in it."""

    name: str

    @property
    def namespace(self) -> str:
        """None: Environments belong to the whole cluster."""
        return ""

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {"environment": self.name}


@dataclass(frozen=True, slots=True)
class PlacesKey:
    """The places under limits: there is one key, so that one worker at a time gives them away."""

    namespace: str = ""
    name: str = ""

    @property
    def subject(self) -> dict[str, str]:
        """The names for its log records."""
        return {}


EffectKey = EventsKey | NoticeKey | PodEventsKey | TraceKey
"""What the effects' queues hold."""
WorkKey = ExecutionKey | WorkflowKey | LeftoverKey | DutyKey | ScheduleKey | EnvironmentKey | PlacesKey
