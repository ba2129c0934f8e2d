"""Claims: what a request with an Idempotency-Key calls its object, and how it knows it again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.caller import Caller
from nightcrawler_api.repeats import Claim, claim_of
from nightcrawler_crds import names

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)


def claim(key: str = "k", caller: str = "ann", body: Any = None, *route: str) -> Claim:
    made = claim_of(key, Caller(caller), body, *(route or ("create",)))
    assert made is not None
    return made


def test_without_a_key_there_is_nothing_to_claim() -> None:
    assert claim_of(None, Caller("ann"), {}, "create") is None


def test_a_claim_is_the_same_in_every_process() -> None:
    made = claim(body={"name": "x"})
    assert made.name("wf-") == "wf-" + made.key[:16]
    assert made == claim(body={"name": "x"})
    assert len(made.key) == len(made.body) == 52


@given(WORD, WORD, st.lists(WORD, min_size=1, max_size=3), WORD, WORD, st.lists(WORD, min_size=1, max_size=3))
def test_claims_differ_as_soon_as_key_caller_or_route_do(
    key: str, caller: str, route: list[str], key2: str, caller2: str, route2: list[str]
) -> None:
    one, other = claim(key, caller, None, *route), claim(key2, caller2, None, *route2)
    assert (one.name("wf-") == other.name("wf-")) is ((key, caller, route) == (key2, caller2, route2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("1:a", "b"), ("1", "a1:b")),
    ],
)
def test_parts_are_not_taken_together(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert claim(*one).key != claim(*other).key


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_the_fields_is_no_part_of_the_body(body: dict[str, Any]) -> None:
    assert claim(body=body).body == claim(body=dict(reversed(body.items()))).body


@given(JSON, JSON)
def test_other_values_are_other_bodies(one: Any, other: Any) -> None:
    same = one == other and repr(one) == repr(other)
    assert not same or claim(body=one).body == claim(body=other).body
    assert one == other or claim(body=one).body != claim(body=other).body


@given(WORD)
def test_every_name_is_one_that_workflows_and_executions_may_have(key: str) -> None:
    made = claim(key)
    assert names.is_dns_label(made.name("wf-"), names.MAX_WORKFLOW_NAME)
    assert names.is_dns_label(made.name("exec-"), names.MAX_EXECUTION_NAME)
