"""Merging bodies into specs, and the difference of two specs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.workflows.drafts import (
    difference,
    merge,
)

Json = dict[str, Any]

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, "", "x"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def as_json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # the examples of RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_is_that_of_rfc_7396(target: object, patch: object, merged: object) -> None:
    assert merge(target, patch) == merged


@given(objects, objects)
def test_the_difference_of_two_specs_makes_the_second_of_the_first(old: Json, new: Json) -> None:
    old, new = merge({}, old), merge({}, new)  # no nulls in objects, as in what is stored
    patch = difference(old, new)
    assert as_json(merge(old, patch)) == as_json(new)


@given(objects)
def test_equal_specs_have_no_difference(spec: Json) -> None:
    spec = merge({}, spec)
    assert difference(spec, spec) == {}


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), ([1], [True])])
def test_a_difference_distinguishes_values_that_python_calls_equal(old: object, new: object) -> None:
    assert difference({"a": old}, {"a": new}) == {"a": new}
