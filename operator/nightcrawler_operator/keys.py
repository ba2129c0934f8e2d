"""What the work queue holds: one key for each thing to reconcile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutionKey:
    """A live execution to look at."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """What a log record about it names."""
        return {"namespace": self.namespace, "execution": self.name}


@dataclass(frozen=True, slots=True)
class WorkflowKey:
    """A workflow to look at: its conditions, its last run, its history."""

    namespace: str
    name: str

    @property
    def subject(self) -> dict[str, str]:
        """What a log record about it names."""
        return {"namespace": self.namespace}


@dataclass(frozen=True, slots=True)
class LeftoverKey:
    """Jobs whose execution is not among the live ones."""

    namespace: str
    name: str
    uid: str

    @property
    def subject(self) -> dict[str, str]:
        """What a log record about it names."""
        return {"namespace": self.namespace, "execution": self.name}


WorkKey = ExecutionKey | WorkflowKey | LeftoverKey
