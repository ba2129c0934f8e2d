"""How two contents of a workflow differ."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.revisions.differences import differences

OLD: dict[str, Any] = {
    "steps": [{"name": "a/b", "image": "x:1", "retries": 1}, {"name": "c", "image": "y:1"}],
    "config": {"timeout": "1 hour", "resources": {"cpu": 1}},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["name", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from("abc"), "x": inner}), max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=10,
)
contents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def test_steps_are_compared_by_their_names() -> None:
    new = {**OLD, "steps": [{"name": "a/b", "image": "x:2"}, {"name": "d", "image": "z:1"}]}
    assert differences(OLD, new) == [
        {"path": "/steps/a~1b/image", "old": "x:1", "new": "x:2"},
        {"path": "/steps/a~1b/retries", "old": 1},
        {"path": "/steps/c", "old": {"name": "c", "image": "y:1"}},
        {"path": "/steps/d", "new": {"name": "d", "image": "z:1"}},
    ]


def test_another_order_of_steps_is_a_difference_of_the_list() -> None:
    assert differences(OLD, {**OLD, "steps": OLD["steps"][::-1]}) == [
        {"path": "/steps", "old": ["a/b", "c"], "new": ["c", "a/b"]}
    ]


def test_what_only_one_has_and_what_changes_its_type_is_shown_whole() -> None:
    new = {"steps": OLD["steps"], "config": {"timeout": "1 hour", "resources": None}, "order": "Graph"}
    assert differences(OLD, new) == [
        {"path": "/config/resources", "old": {"cpu": 1}, "new": None},
        {"path": "/order", "new": "Graph"},
    ]
    assert differences({"a": 1}, {"a": True}) == [{"path": "/a", "old": 1, "new": True}]


@given(contents, contents)
def test_only_equal_contents_have_no_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert differences(one, one) == []
    assert bool(differences(one, other)) == (repr_of(one) != repr_of(other))


def repr_of(value: Any) -> Any:
    """A value in which, unlike to Python, 1, 1.0 and True differ; keys in order."""
    if isinstance(value, dict):
        return {key: repr_of(value[key]) for key in sorted(value)}
    return [repr_of(item) for item in value] if isinstance(value, list) else repr(value)
