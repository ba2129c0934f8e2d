"""What records show of a change: what differs, and no values of environment variables and parameters."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.audit.redaction import HIDDEN, changes
from tests.support.fullobjects import workflow

STEP = {"name": "a", "image": "busybox:1"}
WORD = st.sampled_from(["name", "env", "value", "parameters", "x"])
JSON = st.recursive(
    st.sampled_from([None, True, False, 0, 2, "x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)
SPEC = st.dictionaries(st.sampled_from(["steps", "config", "tags", "suspend", "x"]), JSON, max_size=5)


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        (None, {"tags": ["x"]}, None, {"tags": ["x"]}),
        ({"tags": ["x"]}, None, {"tags": ["x"]}, None),
        ({"a": "low", "x": []}, {"a": "high", "x": []}, {"a": "low"}, {"a": "high"}),
        ({"config": {"a": 1, "b": "1h"}}, {"config": {"b": "1h"}}, {"config": {"a": 1}}, {"config": {}}),
        (
            {"steps": [STEP, {"name": "b", "image": "x:1"}]},
            {"steps": [STEP, {"name": "b", "image": "x:2"}, {"name": "c"}]},
            {"steps": [{"name": "b", "image": "x:1"}]},
            {"steps": [{"name": "b", "image": "x:2"}, {"name": "c"}]},
        ),
        ({"x": [STEP, {"name": "b"}]}, {"x": [{"name": "b"}, STEP]}, {"x": ["a", "b"]}, {"x": ["b", "a"]}),
        ({"tags": ["a"]}, {"tags": ["b", "a"]}, {"tags": ["a"]}, {"tags": ["b", "a"]}),
        ({"a": 1}, {"a": 1}, {}, {}),
    ],
)  # fmt: skip
def test_only_what_differs_is_shown(old: Any, new: Any, before: Any, after: Any) -> None:
    assert changes(old, new) == (before, after)


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        (
            {"steps": [{**STEP, "env": [{"name": "A", "value": "s3cret"}, {"name": "B", "value": "b"}]}]},
            {"steps": [{**STEP, "env": [{"name": "A", "value": "0ther"}, {"name": "B", "value": "b"}]}]},
            {"steps": [{"name": "a", "env": [{"name": "A", "value": HIDDEN}]}]},
            {"steps": [{"name": "a", "env": [{"name": "A", "value": HIDDEN}]}]},
        ),
        (
            {"parameters": [{"name": "p", "default": "s3cret", "required": True}]},
            {"parameters": [{"name": "p", "default": {"a": "0ther"}, "required": True}]},
            {"parameters": [{"name": "p", "default": HIDDEN}]},
            {"parameters": [{"name": "p", "default": HIDDEN}]},
        ),
        (
            None,
            {"workflow": "w", "parameters": {"a": "s3cret", "b": [1]}},
            None,
            {"workflow": "w", "parameters": {"a": HIDDEN, "b": HIDDEN}},
        ),
    ],
)
def test_values_that_may_be_secret_are_hidden_and_that_they_changed_is_not(
    old: Any, new: Any, before: Any, after: Any
) -> None:
    assert changes(old, new) == (before, after)


def test_references_to_secrets_are_shown_since_they_have_no_values() -> None:
    variable = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert changes(None, {"steps": [{**STEP, "env": [variable]}]})[1]["steps"][0]["env"] == [variable]


def test_no_value_of_a_full_workflow_is_shown_wherever_it_is() -> None:
    spec = copy.deepcopy(workflow()["spec"])
    planted = 0

    def plant(node: Any) -> None:
        nonlocal planted
        if isinstance(node, dict):
            for key, inner in node.items():
                if key == "env" and isinstance(inner, list):
                    inner.append({"name": f"PLANTED_{planted}", "value": "s3cret"})
                    planted += 1
                plant(inner)
        elif isinstance(node, list):
            for inner in node:
                plant(inner)

    spec["steps"][0].setdefault("env", [])
    spec["steps"][0].setdefault("podTemplate", {}).setdefault("spec", {})["initContainers"] = [
        {"name": "side", "image": "x", "env": []}
    ]
    spec["parameters"] = [{"name": "p", "default": "s3cret"}]
    plant(spec)
    assert planted >= 2
    pairs: list[tuple[Any, Any]] = [(None, spec), (spec, None), ({}, spec), (spec, {"steps": []})]
    for old, new in pairs:
        assert "s3cret" not in json.dumps(changes(old, new))


def test_a_large_state_is_shown_by_the_names_of_its_fields() -> None:
    spec = {"steps": [{**STEP, "args": ["x" * 40_000]}], "tags": ["t"]}
    assert changes(None, spec) == (None, {"tooLarge": True, "fields": ["steps", "tags"]})


@given(SPEC, SPEC)
def test_two_states_show_nothing_exactly_if_they_are_equal(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = changes(old, new)
    assert ((before, after) == ({}, {})) is (old == new)


@given(SPEC, SPEC)
def test_states_are_not_changed_by_being_shown(old: dict[str, Any], new: dict[str, Any]) -> None:
    kept = copy.deepcopy((old, new))
    changes(old, new)
    assert (old, new) == kept
