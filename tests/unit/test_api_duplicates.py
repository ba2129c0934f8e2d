"""Keys that stand twice in an object: found at any depth, and named by their pointers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.errors import BadBody
from nightcrawler_api.http.duplicates import repeated_keys
from nightcrawler_api.http.json_body import parse


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b'{"name": "a", "name": "b"}', ["/name"]),
        (b'{"a": {"b": [1, {"c/d": 1, "c/d": 1}]}}', ["/a/b/1/c~1d"]),
        (b'{"a": 1, "b": 2, "a": {"c": 1, "c": 2}, "b": 3}', ["/a", "/a/c", "/b"]),
        (b'{"a": 1, "\\u0061": 2, "a": 3}', ["/a"]),
        (b'[{"": 1, "": 2}]', ["/0/"]),
        (b'{"a": {"b": 1}, "c": {"b": 1}, "b": [{"b": 1}, {"b": 1}]}', []),
        (b'{"a": "a", "b": "\\"b\\": 1"}', []),
        (b'{"n": 1' + b"0" * 6000 + b', "n": 1}', ["/n"]),
        (b"[]", []),
        (b"5", []),
    ],
)
def test_each_duplicate_key_is_named_once(body: bytes, pointers: list[str]) -> None:
    assert repeated_keys(body) == pointers


def test_a_body_with_a_duplicate_key_is_422_with_its_pointer() -> None:
    with pytest.raises(BadBody) as caught:
        parse(b'\xef\xbb\xbf{"steps": [{"image": "a", "image": "b"}]}')
    assert caught.value.status_code == 422
    assert caught.value.fields == [
        {"pointer": "/steps/0/image", "detail": "stands more than once in its object; send it once"}
    ]
    assert caught.value.detail == "steps/0/image: stands more than once in its object; send it once"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=20,
)


@given(JSON)
def test_encoded_json_has_no_duplicate_keys(value: Any) -> None:
    written = msgspec.json.encode(value)
    assert repeated_keys(written) == []
    assert parse(written) == value
