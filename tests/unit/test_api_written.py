"""What a change writes: what its caller sent, but not what only repeats an answer; steps by their names."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.protection import Protections
from nightcrawler_api.state.runs import Runs
from nightcrawler_api.workflows import presenter
from nightcrawler_api.workflows.drafts import (
    desired_spec,
    known_fields,
    validate,
    without_repeated_defaults,
)
from nightcrawler_api.workflows.presenter import Fallbacks
from nightcrawler_api.workflows.schemas import ONLY_IN_ANSWERS, WorkflowDetail
from nightcrawler_crds.validation import PodPolicy
from tests.support.fullobjects import workflow as full_workflow
from tests.support.views import at
from tests.support.views import workflow as workflow_view

Json = dict[str, Any]

STEP: Json = {"name": "a", "image": "busybox:1"}
TIMES: Json = {"timeout": "7 days", "retryDelay": "30 seconds"}


def answer(spec: Json, fallbacks: Fallbacks | None = None) -> Json:
    """What GET answers of a workflow."""
    view = workflow_view(**spec)
    known = WorkflowEntry(view, Runs(), Protections().of(view))
    decoded: Json = json.loads(
        msgspec.json.encode(presenter.detail(known, fallbacks or Fallbacks(), at("16:00:00")))
    )
    return decoded


def written(spec: Json, body: Json, fallbacks: Fallbacks | None = None) -> Json:
    """The spec after a PUT."""
    return desired_spec(spec, without_repeated_defaults(body, spec, answer(spec, fallbacks)))


@pytest.mark.parametrize(
    "config",
    [
        TIMES,
        {"timeout": "7 days"},
        {"retries": 0},
        {"computeProfile": "None"},
        {"resources": {"cpu": "None", "memory": "None", "gpu": "None"}},
    ],
    ids=str,
)
def test_a_value_equal_to_the_default_is_written_if_it_is_sent(config: Json) -> None:
    assert written({"steps": [STEP]}, {"config": config}) == {"steps": [STEP], "config": config}


@pytest.mark.parametrize(
    "body",
    [
        {"priority": "medium"},
        {"description": ""},
        {"tags": []},
        {"environments": []},
        {"environments": {"a": False}},
        {"name": "workflow", "config": {"retries": 0}},
    ],
    ids=str,
)
def test_every_other_field_equal_to_its_default_is_written_if_it_is_sent(body: Json) -> None:
    assert written({}, body) == desired_spec({}, body) != {}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"steps": [STEP]},
        {"displayName": "n", "config": {"storage": {"persistentVolume": "1 GB"}}},
        {"config": {"resources": {"gpu": 8}, "schedule": {"type": "cron", "cron": "* * * * *"}}},
        {"config": {"timeout": "7 days", "retries": 0}, "tags": [], "priority": "medium"},
        {"config": {"security": {"auditLogging": True}}},
        {"options": {"enableRetry": True}, "environments": ["gpu"]},
        {"environments": []},
        full_workflow()["spec"],
    ],
)
def test_a_response_sent_back_writes_only_the_timeouts_it_showed(spec: Json) -> None:
    fallbacks = Fallbacks(cpu="500m")
    expected = {**spec, "config": {**TIMES, **spec.get("config", {})}}
    once = written(spec, answer(spec, fallbacks), fallbacks)
    assert once == expected
    assert written(once, answer(once, fallbacks), fallbacks) == once


def test_a_timeout_that_was_sent_back_survives_another_default() -> None:
    spec = written({}, answer({}))
    later = Fallbacks(timeout=60.0, retry_delay=1.0)
    shown = answer(spec, later)["config"]
    assert {key: shown[key] for key in TIMES} == TIMES


def test_retries_are_enabled_in_a_response_that_showed_zero_retries() -> None:
    body = {**answer({"steps": [STEP]}), "options": {"enableRetry": True}}
    spec = written({"steps": [STEP]}, body)
    assert "retries" not in spec["config"]
    assert answer(spec)["config"]["retries"] == 3


def test_a_profile_chosen_in_a_response_is_not_overridden_by_what_it_showed() -> None:
    body = answer({})
    body["config"]["computeProfile"] = "GPU-Optimized"
    assert written({}, body)["config"] == {**TIMES, "computeProfile": "GPU-Optimized"}


def test_changed_or_already_written_fields_of_a_response_are_written() -> None:
    spec: Json = {"displayName": "n", "config": {"retries": 3, "timeout": "1 hour"}}
    body = answer(spec)
    body |= {"priority": "low", "tags": ["a"]}
    body["config"] |= {"retries": 0, "timeout": "7 days", "resources": {"cpu": 2}}
    assert written(spec, body) == {
        "displayName": "n",
        "priority": "low",
        "tags": ["a"],
        "config": {"retries": 0, **TIMES, "resources": {"cpu": 2}},
    }


# --- steps by name -------------------------------------------------------------------------------

BEFORE: Json = {
    "steps": [
        {**STEP, "timeout": "1h", "resources": {"cpu": 1, "gpu": 8}, "podTemplate": {"spec": {"x": 1}}},
        {"name": "b", "image": "x", "dependsOn": ["a"]},
    ]
}
FIRST, SECOND = BEFORE["steps"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"name": "a"}, {"name": "b"}], [FIRST, SECOND]),
        ([{"name": "a", "status": "completed", "duration": "10:25"}], [FIRST]),
        ([{"name": "b"}, {"name": "a"}], [SECOND, FIRST]),
        ([{"name": "b", "dependsOn": None}], [{"name": "b", "image": "x"}]),
        ([{"name": "b", "dependsOn": []}], [{"name": "b", "image": "x", "dependsOn": []}]),
        ([{"name": "a", "timeout": "2h"}], [{**FIRST, "timeout": "2h"}]),
        ([{"name": "a", "resources": {"gpu": None}}], [{**FIRST, "resources": {"cpu": 1}}]),
        ([{"name": "a", "resources": None}], [{k: v for k, v in FIRST.items() if k != "resources"}]),
        ([{"name": "a", "podTemplate": {"y": None}}], [{**FIRST, "podTemplate": {"y": None}}]),
        ([{"name": "new", "image": "y"}], [{"name": "new", "image": "y"}]),
        ([{"name": ["a"]}, 5], [{"name": ["a"]}, 5]),
        ([], []),
    ],
)
def test_steps_are_matched_by_name_and_keep_omitted_fields(steps: list[Any], expected: list[Any]) -> None:
    assert desired_spec(BEFORE, {"steps": steps}) == {"steps": expected}


def test_every_field_of_an_answer_can_be_sent_back() -> None:
    fields = set(WorkflowDetail.__annotations__)
    assert fields <= {*known_fields(), *ONLY_IN_ANSWERS}
    assert fields >= set(ONLY_IN_ANSWERS)


def test_a_workflow_whose_profile_is_gone_can_be_changed_otherwise() -> None:
    current = {"displayName": "x", "steps": [STEP], "config": {"computeProfile": "Gone"}}
    for body in ({"description": "new"}, answer(current)):
        spec = written(current, body)
        assert validate(body, current, spec, [], PodPolicy(), []) == []
    other = {"config": {"computeProfile": "Missing"}}
    (field,) = validate(other, current, written(current, other), [], PodPolicy(), [])
    assert field["pointer"] == "/config/computeProfile"
