"""What the status of an execution says of how far it has come, and how its conditions change."""

from __future__ import annotations

from datetime import datetime

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import ExecutionStatusView, ExecutionView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.status import condition
from nightcrawler_operator.snapshot import Snapshot


def is_accepted(status: ExecutionStatusView) -> bool:
    """Whether an execution is recorded as accepted."""
    return any(c.type == conditions.ACCEPTED and c.status == "True" for c in status.conditions)


def is_granted(status: ExecutionStatusView) -> bool | None:
    """Whether an execution is recorded to have its places; None if no limit applied to it."""
    found = _granted(status)
    return None if found is None else found.status == "True"


def waits_since(execution: ExecutionView) -> datetime | None:
    """Since when the first steps of an execution wait: its creation, or when it got its places."""
    found = _granted(execution.status)
    if found is not None and found.status == "True" and found.last_transition_time is not None:
        return found.last_transition_time
    return execution.metadata.creation_timestamp


def _granted(status: ExecutionStatusView) -> Condition | None:
    return next((c for c in status.conditions if c.type == conditions.GRANTED), None)


def conditions_with(snapshot: Snapshot, *changed: tuple[str, str, str, str]) -> tuple[Condition, ...]:
    """The recorded conditions of an execution with some changed: type, status, reason and message of each."""
    execution = snapshot.execution
    recorded = execution.status.conditions
    kept = [c for c in recorded if c.type not in {kind for kind, *_ in changed}]
    new = [condition(*one, recorded, snapshot.now, execution.metadata.generation) for one in changed]
    return (*kept, *new)
