"""Bodies that are refused while they are read, and what the API server finds, in sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api import refusals
from nightcrawler_api.errors import STATUSES, BadBody, Refused
from nightcrawler_api.http.json_body import MAX_DEPTH, parse
from nightcrawler_crds import errors as cluster
from nightcrawler_crds.errors import Cause


def refused(body: bytes) -> BadBody:
    with pytest.raises(BadBody) as caught:
        parse(body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "the body is not JSON"),
        (b'{"name": NaN}', "near '{\"name\": NaN}'"),
        (b'{"name": Infinity}', "the body is not JSON"),
        (b"{'name': 1}", "the body is not JSON"),
        (b'{"a": 1,}', "trailing"),
        (b'{"a": 1} x', "the body is not JSON"),
        (b'"\\ud800"', "the body is not JSON"),
        (b'"\xff"', "it is not UTF-8"),
        (b'"\xed\xa0\x80"', "it is not UTF-8"),
        (b"\xef\xbb\xbf", "the body is not JSON"),
        ("{}".encode("utf-16"), "the body is not JSON"),
        (b"[" * 100_000, "nested more than 100 levels deep"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested more than 100 levels deep"),
    ],
)
def test_invalid_json_is_400_and_says_where(body: bytes, says: str) -> None:
    error = refused(body)
    assert error.status_code == 400
    assert says in error.detail


def test_several_errors_are_one_sentence() -> None:
    found = [refusals.at("/a", "is bad. Accepted: 1."), refusals.at("/b", "is required")]
    assert refusals.summary(found) == "a: is bad. Accepted: 1; b: is required"
    assert refusals.summary(found[:1]) == "a: is bad. Accepted: 1."


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (("query", "status"), {"parameter": "status", "detail": "is required"}),
        (("body",), {"pointer": "", "detail": "a JSON object is required as the body"}),
        (("body", "name"), {"pointer": "/name", "detail": "is required"}),
    ],
)
def test_what_is_missing_is_said_where_it_belongs(place: tuple[str, ...], says: dict[str, str]) -> None:
    assert refusals.from_request([{"loc": place, "type": "missing", "input": None}]) == [says]


@pytest.mark.parametrize(
    ("number", "pointer"),
    [
        (b"9223372036854775808", "/a/1/b~1c"),
        (b"-9223372036854775809", "/a/1/b~1c"),
        (b"1" + b"0" * 400, "/a/1/b~1c"),
    ],
)
def test_a_whole_number_that_the_cluster_would_round_is_422_and_says_where(
    number: bytes, pointer: str
) -> None:
    error = refused(b'{"a": [1, {"b/c": ' + number + b"}]}")
    assert error.status_code == 422
    assert [field["pointer"] for field in error.fields] == [pointer]
    assert "does not fit in 64 bits" in error.detail


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1" + b"0" * 6000, b"-1.5E+999"])
def test_a_number_that_nothing_can_hold_is_422_and_says_where(number: bytes) -> None:
    error = refused(b'{"text": "1e999 \\" 1e999", "a": [1, {"b/c": ' + number + b"}]}")
    assert error.status_code == 422
    assert [field["pointer"] for field in error.fields] == ["/a/1/b~1c"]
    assert "send it as text" in error.detail
    assert len(error.detail) < 200


@pytest.mark.parametrize("escape", [b"\\ud800", b"\\udc00", b"\\ud800x", b"\\uD800\\u0041"])
def test_a_lone_surrogate_is_400_and_says_which(escape: bytes) -> None:
    error = refused(b'{"name": "' + escape + b'"}')
    assert error.status_code == 400
    assert f"{escape[:6].decode().lower()} is half of a character" in error.detail.lower()


@pytest.mark.parametrize(
    "body", [b"9223372036854775807", b"\xef\xbb\xbf{}", b"1e308", b"-0.0", b'"\\u0000"', b"null", b"[]"]
)
def test_all_that_json_and_the_cluster_can_hold_is_accepted(body: bytes) -> None:
    parse(body)


def test_the_deepest_allowed_body_is_accepted() -> None:
    parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_are_refused_with_a_sentence(body: bytes) -> None:
    refusal = None
    try:
        parse(body)
    except BadBody as error:
        refusal = error
    assert refusal is None or refusal.status_code in {400, 422}
    assert refusal is None or len(refusal.detail) < 300


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ("spec", ""),
        ("spec.displayName", "/name"),
        ("spec.config.schedule", "/config/schedule"),
        ("spec.steps[3].resources.cpu", "/steps/3/resources/cpu"),
        ("spec.parameters[data.set]", "/parameters/data.set"),
        ("spec.steps", "/steps"),
        ("metadata.name", ""),
        ("", ""),
        ("<nil>", ""),
    ],
)
def test_a_field_of_the_api_server_becomes_a_pointer_into_the_body(field: str, pointer: str) -> None:
    assert refusals.from_causes([Cause(field, "m")]) == [{"pointer": pointer, "detail": "m"}]


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ('Invalid value: "object": a schedule needs cron', "a schedule needs cron"),
        ("Invalid value: a schedule needs cron", "a schedule needs cron"),
        ('Invalid value: "x": must match', '"x": must match'),
        ("Required value", "Required value"),
    ],
)
def test_messages_of_the_api_server_lose_their_boilerplate(message: str, detail: str) -> None:
    assert refusals.from_causes([Cause("spec", message)])[0]["detail"] == detail


def test_a_summary_names_the_first_and_counts_the_rest() -> None:
    fields = [refusals.at(f"/f{number}", "is wrong") for number in range(5)]
    assert refusals.summary(fields[:1]) == "f0: is wrong"
    assert refusals.summary(fields) == "f0: is wrong; f1: is wrong; f2: is wrong; and 2 more"
    assert refusals.summary([refusals.at("", "is too large")]) == "is too large"


def test_every_error_of_the_cluster_and_of_the_facade_has_a_status() -> None:
    for parent in (cluster.ApiError, Refused):
        assert set(parent.__subclasses__()) <= set(STATUSES)
