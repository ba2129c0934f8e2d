"""What is expected of executions, why they run where they run, and what they have cost."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from nightcrawler_api.estimates import Expected, past_of
from nightcrawler_api.executions import presenter
from nightcrawler_api.executions.schemas import Execution, ExecutionDetail
from nightcrawler_crds.planning.duration import expected_duration
from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from tests.support.views import at, execution

T = "2025-07-10T"
NOW = at("16:00:00")


def shown(**status: Any) -> dict[str, Any]:
    row = presenter.row(execution(**status), "anonymous", NOW)
    TypeAdapter(Execution).validate_python(row)
    return dict(row)


@pytest.mark.parametrize(
    ("status", "expected", "answer"),
    [
        pytest.param(
            {"phase": "Pending"},
            Expected(600, wait=90, place=3, cost=1.5, currency="EUR"),
            {
                "placeInLine": 3,
                "expectedStart": T + "16:01:30Z",
                "estimatedWait": "00:01:30",
                "estimatedDuration": "00:10:00",
                "estimatedEnd": T + "16:11:30Z",
                "estimatedCost": {"amount": 1.5, "currency": "EUR"},
            },
            id="in line",
        ),
        pytest.param(
            {"phase": "Pending"},
            Expected(600, place=1),
            {"placeInLine": 1, "estimatedDuration": "00:10:00"},
            id="in line, nobody knows how long",
        ),
        pytest.param(
            {"phase": "Pending"},
            Expected(600, wait=0),
            {
                "expectedStart": T + "16:00:00Z",
                "estimatedWait": "00:00:00",
                "estimatedDuration": "00:10:00",
                "estimatedEnd": T + "16:10:00Z",
            },
            id="about to start",
        ),
        pytest.param(
            {"phase": "Pending"}, Expected(600), {"estimatedDuration": "00:10:00"}, id="waits for room"
        ),
        pytest.param(
            {"phase": "Running", "startTime": T + "15:55:00Z"},
            Expected(600, cost=0.0),
            {
                "estimatedDuration": "00:10:00",
                "estimatedEnd": T + "16:05:00Z",
                "estimatedCost": {"amount": 0.0},
            },
            id="running",
        ),
        pytest.param(
            {"phase": "Running", "startTime": T + "15:00:00Z"},
            Expected(600),
            {"estimatedDuration": "00:10:00"},
            id="longer than usual",
        ),
        pytest.param({"phase": "Completed"}, None, {}, id="ended"),
    ],
)
def test_a_live_run_shows_what_is_expected_of_it(
    status: dict[str, Any], expected: Expected | None, answer: dict[str, Any]
) -> None:
    shown = presenter.detail(execution(**status), "anonymous", (), None, NOW, expected)
    TypeAdapter(ExecutionDetail).validate_python(shown)
    words = ("estimated", "expected", "placeInLine")
    assert {key: value for key, value in shown.items() if key.startswith(words)} == answer


def test_a_run_shows_why_it_runs_where_it_runs_and_what_else_came_into_question() -> None:
    placed = {"type": "Placed", "status": "True", "message": "runs in east: it costs least there"}
    candidates = [
        {"environment": "east", "wait": 0, "duration": 90, "cost": 0.25, "currency": "USD"},
        {"environment": "west", "wait": 3600, "duration": 45, "passedOver": "east is better for cost"},
    ]
    one = execution(phase="Running", conditions=[placed], placement=candidates)
    shown = presenter.detail(one, "anonymous", (), None, NOW)
    TypeAdapter(ExecutionDetail).validate_python(shown)
    assert shown["placementMessage"] == "runs in east: it costs least there"
    assert shown["placement"] == [
        {
            "environment": "east",
            "estimatedWait": "00:00:00",
            "estimatedDuration": "00:01:30",
            "estimatedCost": {"amount": 0.25, "currency": "USD"},
        },
        {
            "environment": "west",
            "estimatedWait": "01:00:00",
            "estimatedDuration": "00:00:45",
            "passedOver": "east is better for cost",
        },
    ]
    bare = presenter.detail(execution(phase="Running"), "anonymous", (), None, NOW)
    assert not {"placement", "placementMessage"} & bare.keys()


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ({"amount": 0.5, "currency": "USD"}, {"amount": 0.5, "currency": "USD"}),
        ({"amount": 0}, {"amount": 0.0}),
    ],
)
def test_an_ended_run_shows_what_it_has_cost(cost: dict[str, Any], expected: dict[str, Any]) -> None:
    assert shown(phase="Completed", cost=cost)["cost"] == expected
    assert "cost" not in shown(phase="Completed")


def run(seconds: int, phase: str = "Completed", steps: dict[str, int] | None = None) -> Any:
    def end(after: int) -> str:
        return f"{T}{14 + after // 3600}:{after % 3600 // 60:02}:{after % 60:02}Z"

    begun = {"phase": "Completed", "startTime": end(0)}
    timed = {name: {**begun, "completionTime": end(took)} for name, took in (steps or {}).items()}
    return execution(phase=phase, startTime=end(0), completionTime=end(seconds), steps=timed)


def spec(*steps: tuple[str, list[str]], **fields: Any) -> WorkflowSpec:
    listed = [{"name": name, "image": "x", "dependsOn": before or None} for name, before in steps]
    return WorkflowSpec.model_validate({"steps": listed, **fields})


CHAIN = spec(("a", []), ("b", []), ("c", []))
DIAMOND = spec(("d", ["b", "c"]), ("b", ["a"]), ("c", ["a"]), ("a", []))
TAKES = {"a": 10, "b": 20, "c": 300, "d": 4000}


@pytest.mark.parametrize(
    ("workflow", "completed", "recent", "seconds"),
    [
        (CHAIN, [run(10), run(30), run(20)], [], 20),
        (CHAIN, [run(10), run(20)], [], 15),
        (CHAIN, [], [run(1, "Failed", TAKES)], 330),
        (DIAMOND, [], [run(1, "Failed", TAKES)], 4310),
        (DIAMOND, [run(7)], [run(1, "Failed", TAKES)], 7),
        (CHAIN, [], [run(1, "Failed", {"a": 10}), run(1, "Failed", {"a": 30, "b": 1, "c": 2})], 23),
        (CHAIN, [], [run(1, "Failed", {"a": 10})], 86400),
        (CHAIN, [], [], 86400),
        (spec(config={"timeout": "2 hours"}), [], [], 7200),
        (spec(("a", []), config={"timeout": 90}), [], [], 90),
    ],
)
def test_an_estimate_is_the_median_else_the_critical_path_else_the_timeout(
    workflow: WorkflowSpec, completed: list[Any], recent: list[Any], seconds: float
) -> None:
    past = past_of(completed, recent)
    revision = Revision("", workflow)
    assert expected_duration("", {}, past, revision, StepDefaults(default_timeout=86400)) == seconds
