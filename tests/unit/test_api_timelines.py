"""When the steps of an execution could start, started and ended."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from nightcrawler_api.timelines.schemas import Timeline
from nightcrawler_api.timelines.timeline import dependencies, timeline
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from tests.support.views import at, execution

NOW = at("16:00:00")
GRAPH = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def step(phase: str, start: str | None = None, end: str | None = None, **more: Any) -> dict[str, Any]:
    times = {"startTime": start, "completionTime": end}
    return {"phase": phase, **more, **{key: f"2025-07-10T{at}Z" for key, at in times.items() if at}}


def shown(view: ExecutionView, depends: Any = GRAPH) -> dict[str, Any]:
    """A timeline, checked against its schema; its steps by name."""
    made = timeline(view, depends, NOW)
    TypeAdapter(Timeline).validate_python(made, extra="forbid")
    return {**made, "steps": {one["name"]: one for one in made["steps"]}}


def test_a_step_could_start_when_all_that_it_waits_for_had_completed() -> None:
    view = execution(
        phase="Running",
        startTime="2025-07-10T14:45:00Z",
        steps={
            "a": step("Completed", "14:45:00", "14:50:00", attempt=1),
            "b": step("Completed", "14:50:30", "15:00:00", attempt=2, disruptions=1),
            "c": step("Running", "14:51:00", attempt=1),
        },
    )
    steps = shown(view)["steps"]
    assert list(steps) == ["a", "b", "c", "d"]
    assert steps["a"]["readyTime"] == "2025-07-10T14:44:00Z"
    assert (steps["a"]["waitSeconds"], steps["a"]["durationSeconds"]) == (60.0, 300.0)
    assert steps["b"]["readyTime"] == "2025-07-10T14:50:00Z"
    assert "waitSeconds" not in steps["b"], "the start of a second attempt says nothing of the first's wait"
    assert (steps["b"]["attempt"], steps["b"]["disruptions"]) == (2, 1)
    assert (steps["c"]["durationSeconds"], steps["c"]["status"]) == (4140.0, "running")
    assert steps["d"] == {"name": "d", "status": "pending", "dependsOn": ["b", "c"]}


def test_the_critical_path_leads_back_from_the_step_that_ended_last() -> None:
    steps = {
        "a": step("Completed", "14:45:00", "14:50:00"),
        "b": step("Completed", "14:50:30", "15:00:00"),
        "c": step("Completed", "14:51:00", "15:10:00"),
        "d": step("Failed", "15:10:00", "15:11:00"),
    }
    ended = execution(phase="Failed", completionTime="2025-07-10T15:11:00Z", steps=steps)
    assert shown(ended)["criticalPath"] == ["a", "c", "d"]
    assert "criticalPath" not in shown(execution(phase="Running", steps=steps))


def test_of_steps_that_ended_in_the_same_second_one_that_waited_is_the_last() -> None:
    steps = {name: step("Completed", "14:45:00", "14:45:01") for name in GRAPH}
    ended = execution(phase="Completed", completionTime="2025-07-10T14:45:01Z", steps=steps)
    backwards = dict(reversed(GRAPH.items()))
    for graph in (GRAPH, backwards):
        path = shown(ended, graph)["criticalPath"]
        assert (path[0], path[-1], len(path)) == ("a", "d", 3)


def test_the_times_before_the_first_step_are_those_of_the_conditions() -> None:
    since = {"status": "True", "lastTransitionTime": "2025-07-10T14:44:01Z"}
    conditions = [{"type": "Accepted", **since}, {"type": "Placed", **since, "status": "False"}]
    seen = shown(execution(phase="Pending", conditions=conditions))
    assert (seen["acceptedAt"], "placedAt" in seen, "startTime" in seen) == (
        "2025-07-10T14:44:01Z",
        False,
        False,
    )


def test_without_its_revision_only_the_steps_that_began_are_shown() -> None:
    view = execution(
        phase="Completed",
        completionTime="2025-07-10T14:50:00Z",
        steps={"a": step("Completed", "14:45:00", "14:50:00")},
    )
    seen = shown(view, None)
    assert seen["steps"]["a"] == {
        "name": "a",
        "status": "completed",
        "startTime": "2025-07-10T14:45:00Z",
        "endTime": "2025-07-10T14:50:00Z",
        "durationSeconds": 300.0,
    }
    assert "criticalPath" not in seen


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"name": "a"}, {"name": "b"}, {"name": "c"}], {"a": [], "b": ["a"], "c": ["b"]}),
        ([{"name": "a"}, {"name": "b", "dependsOn": ["a"]}, {"name": "c"}], {"a": [], "b": ["a"], "c": []}),
        ([], {}),
    ],
)
def test_steps_wait_for_the_one_above_or_for_their_dependencies(
    steps: list[dict[str, Any]], expected: dict[str, list[str]]
) -> None:
    spec = WorkflowSpec.model_validate({"steps": [{"image": "busybox:1", **one} for one in steps]})
    assert dependencies(spec) == expected
