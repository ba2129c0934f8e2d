"""What the operator decides on a snapshot, and what of it is written to the status."""

from __future__ import annotations

from typing import Any

from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import Plan
from tests.support.snapshots import SnapshotMaker


def planned(snapshot: SnapshotMaker, now: float | None = None) -> Plan:
    """The plan for a snapshot, as it is or at another time."""
    return decide((snapshot if now is None else snapshot.at(now)).build())


def status_of(plan: Plan) -> dict[str, Any]:
    """The patch of the status, which the plan must have."""
    assert plan.status is not None
    return dict(plan.status)


def step_of(plan: Plan, step: str = "train") -> dict[str, Any]:
    """The patch of a step's status, which the plan must have."""
    return dict(status_of(plan)["steps"][step])
