"""Entity tags: weak, of the answer's bytes, compared as RFC 9110 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.http.etags import etag_of, names

TAG = etag_of(b"a body")
OTHER = etag_of(b"another body")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (TAG, True),
        (TAG.removeprefix(b"W/"), True),
        (b"*", True),
        (b" * ", True),
        (b"%b, %b" % (OTHER, TAG), True),
        (b'"a, b",W/"" ,%b' % TAG, True),
        (OTHER, False),
        (b'"*"', False),
        (b"", False),
        (b"nonsense", False),
        (TAG.removeprefix(b"W/").strip(b'"'), False),
        (TAG.replace(b"W/", b"w/").upper(), False),
        (b'"%b and more"' % TAG[3:-1], False),
    ],
)
def test_a_condition_names_a_tag_by_weak_comparison(condition: bytes, expected: bool) -> None:
    assert names(condition, TAG) is expected


@given(st.binary(), st.binary())
def test_responses_have_the_same_tag_exactly_if_they_are_equal(one: bytes, other: bytes) -> None:
    assert (etag_of(one) == etag_of(other)) is (one == other)
    assert names(etag_of(one), etag_of(other)) is (one == other)


def test_a_tag_is_weak_and_the_same_in_every_process() -> None:
    assert etag_of(b"{}") == b'W/"1K9qSuGcpusRy0fITOpt"'
