"""The index: filters and order of the executions of all workflows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nightcrawler_api.state.index import Index
from nightcrawler_api.state.ordering import Ordering
from nightcrawler_api.state.runs import ExecutionQuery
from tests.support.views import execution, workflow


def with_runs() -> Index:
    """Runs of two workflows and of one that does not exist, each started in a minute of its own."""
    index = Index()
    index.workflow_changed(None, workflow("w1", tags=["gpu"]))
    index.workflow_changed(None, workflow("w2"))
    for view in (
        execution("a", of="w1", created="2025-01-01T00:01:00Z"),
        execution("b", of="w1", created="2025-01-01T00:02:00Z", phase="Pending", spec={"cancel": True}),
        execution(
            "c",
            of="w2",
            created="2025-01-01T00:03:00Z",
            phase="Running",
            startTime="2025-01-01T00:08:00Z",
            environment="virginia",
            spec={"executor": "ann"},
        ),
        execution(
            "d",
            of="w1",
            created="2025-01-01T00:04:00Z",
            phase="Completed",
            startTime="2025-01-01T00:04:00Z",
            completionTime="2025-01-01T00:05:00Z",
            spec={"environment": "awsVirginia"},
        ),
        execution("e", of="gone", created="2025-01-01T00:05:00Z", phase="Pending"),
    ):
        index.execution_changed(None, view)
    return index


def minute(number: int) -> float:
    return datetime(2025, 1, 1, 0, number, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, "edcba"),
        ({"status": "running"}, "eca"),
        ({"pending": True}, "ea"),
        ({"status": "completed", "pending": True}, ""),
        ({"workflow": ("default", "w1")}, "dba"),
        ({"workflow": ("default", "gone")}, "e"),
        ({"namespace": "default"}, "edcba"),
        ({"namespace": "other"}, ""),
        ({"namespace": "other", "workflow": ("default", "w1")}, ""),
        ({"tags": frozenset({"gpu"})}, "dba"),
        ({"environments": {"virginia", "awsVirginia"}}, "dc"),
        ({"executors": {"ann"}}, "c"),
        ({"executors": {"anonymous", None}}, "edba"),
        ({"begin": minute(4)}, "edc"),
        ({"end": minute(4)}, "ba"),
        ({"ordering": Ordering("startTime")}, "cedba"),
        ({"ordering": Ordering("endTime", descending=False)}, "dabce"),
        ({"ordering": Ordering("duration")}, "cdeba"),
        ({"status": "running", "workflow": ("default", "w1"), "begin": minute(1)}, "a"),
    ],
)
def test_executions_of_all_workflows_are_filtered_and_sorted(question: dict[str, Any], expected: str) -> None:
    index = with_runs()
    now = datetime(2025, 1, 1, 0, 10, tzinfo=UTC)
    found = index.executions(index.runs, 0, 10, ExecutionQuery(**question), now)
    assert "".join(run.view.metadata.name for run in found.entries) == expected
    assert found.total == len(expected)
