"""Bodies in YAML: what kubectl would read, and nothing that only looks like it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.errors import BadBody
from nightcrawler_api.http.json_body import MAX_BYTES
from nightcrawler_api.http.yaml_body import to_json
from nightcrawler_api.workflows.manifests import to_yaml

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def read(text: str) -> Any:
    return json.loads(to_json(text.encode()))


def refused(text: str) -> BadBody:
    with pytest.raises(BadBody) as error:
        read(text)
    return error.value


@given(st.dictionaries(texts, values, max_size=4))
def test_what_export_writes_and_what_json_writes_is_read_as_it_was(value: Any) -> None:
    assert read(to_yaml(value)) == value
    assert read(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes\nb: off\nc: ~\nd:\n", {"a": True, "b": False, "c": None, "d": None}),
        ("[y, N, On, NULL, 1e3, 0o7, 07, 0x1F, 0b11]", [True, False, True, None, 1000.0, 7, 7, 31, 3]),
        ("[1_000, -0x10, .5, 1., +1, 12e03, 00, 08]", [1000, -16, 0.5, 1.0, 1, 12000.0, 0, 8.0]),
        ("[1:30, 2025-07-10, _1, 0o8, 0b2, 1e400, 'y', \"1\"]",
         ["1:30", "2025-07-10", "_1", "0o8", "0b2", "1e400", "y", "1"]),
        ("[!!str 3, ! 12, !!float 1, !!bool yes, !!timestamp 2020-1-1]", ["3", "12", 1, True, "2020-1-1"]),
        ("1: a\ntrue: b\n2025-01-01: c\n'y': d\n", {"1": "a", "true": "b", "2025-01-01": "c", "y": "d"}),
        ("- |\n  two\n  lines\n- >-\n  one\n  line\n", ["two\nlines\n", "one line"]),
        ("a: &x {b: [1]}\nc: *x\nd: [*x]\n", {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}]}),
        ("", None),
        ("# nothing\n", None),
    ],
)  # fmt: skip
def test_words_mean_what_they_do_to_kubectl(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("a: *x\n", 400, "an alias, *x, to what is not complete before it"),
        ("a: &x [*x]\n", 400, "an alias, *x"),
        ("a: 1\n---\nb: 2\n", 400, "several documents"),
        ("[" * 101 + "]" * 101, 400, "100 levels"),
        ("a: [\n", 400, "not YAML"),
        ("a: b: c", 400, "not YAML"),
        ("a: \x07", 400, "not YAML"),
        ("? [a]\n: b\n", 400, "a key that is no text"),
        ("a: !!binary aGk=\n", 400, "binary"),
        ("a: !custom x\n", 400, "!custom"),
        ("a: !!int 1.5\n", 400, "int"),
        ("a: .inf\n", 400, ".inf"),
        ("{y: 1}\n", 400, "the key 'y', which YAML does not read as text; put it in quotes"),
        ("{<<: {a: 1}}\n", 400, "the key '<<'"),
        ("{0x10: 1}\n", 400, "the key '0x10'"),
        ("a: {b: 1, b: 2}\n", 422, "more than once"),
    ],
)
def test_what_json_cannot_say_is_refused(text: str, status: int, says: str) -> None:
    error = refused(text)
    assert error.status_code == status
    assert says in error.detail


def test_the_place_of_a_duplicate_is_named() -> None:
    error = refused("spec:\n  steps:\n  - name: a\n  - {name: b, name: c}\n")
    assert [field["pointer"] for field in error.fields] == ["/spec/steps/1/name"]


def test_aliases_that_stand_for_too_much_are_refused_before_they_are_expanded() -> None:
    laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    assert refused(laughs).status_code == 413
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    assert "100 levels" in refused(deep).detail
    assert refused("a" * (MAX_BYTES + 1)).status_code == 413
