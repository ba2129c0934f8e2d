"""Numbers that the API server rounds: found by their text over REST, elsewhere by what is left of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nightcrawler_api.http.exactnumbers import inexact_numbers
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation import PodPolicy, parameter_problems, workflow_problems
from nightcrawler_crds.validation.jsonnumbers import is_kept, not_kept
from tests.support.apinumbers import as_kept

TAKEN = ["0", "-0.0", "1", "1.0", "0.1", "0.10", "1E5", "1.5e-3", "3.141592653589793", "5e-324", "1e-7"]
TAKEN += [
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "1e18",
    "6.022e23",
    "1e308",
    "0e999",
]
ROUNDED = ["18446744073709551617", "9223372036854775808", "-9223372036854775809", "1e20", "9.3e18"]
ROUNDED += ["123456789012345678901234567890", "1.7976931348623157e308"]
SEEN_IN_TEXT_ONLY = [
    "0.12345678901234567890",
    "9007199254740993.0",
    "1e-400",
    "4e-324",
    "1." + "0" * 500 + "1",
]


@pytest.mark.parametrize("text", TAKEN)
def test_an_exact_number_is_accepted_over_rest_and_in_manifests(text: str) -> None:
    assert inexact_numbers(f'{{"a": [{text}]}}'.encode()) == []
    assert list(not_kept([as_kept(text)])) == []
    assert Decimal(str(as_kept(text))) == Decimal(text)


@pytest.mark.parametrize("text", ROUNDED + SEEN_IN_TEXT_ONLY + ["1e400", "-1e400"])
def test_a_number_that_would_be_rounded_is_refused_over_rest_with_its_pointer(text: str) -> None:
    [found] = inexact_numbers(f'{{"text": "{text}", "a": [1, {{"b/c": {text}}}]}}'.encode())
    assert found["pointer"] == "/a/1/b~1c"
    assert found["detail"].endswith("; send it as text")


@pytest.mark.parametrize("text", ROUNDED)
def test_a_number_that_has_been_rounded_is_found_at_any_depth(text: str) -> None:
    kept = as_kept(text)
    assert list(not_kept({"a": [1, {"b/c": kept}]})) == [(("a", 1, "b/c"), kept)]


def test_all_rounded_numbers_of_a_body_are_reported_in_its_order() -> None:
    found = inexact_numbers(b'[1e400, {"a": 1e20, "b": 2}, 18446744073709551617]')
    assert [one["pointer"] for one in found] == ["/0", "/1/a", "/2"]
    assert "too large for any number" in found[0]["detail"]
    assert "does not fit in 64 bits" in found[2]["detail"]


digits = st.text("0123456789", min_size=1, max_size=30)
exponents = st.sampled_from(["", "e5", "E+20", "e-3", "e300", "e-320", "e400", "e-400"])
numbers = st.builds(
    lambda sign, whole, rest, exponent: f"{sign}{int(whole)}{rest}{exponent}",
    st.sampled_from(["", "-"]),
    digits,
    st.just("") | digits.map(".{}".format),
    exponents,
) | st.floats(allow_nan=False, allow_infinity=False).map(repr)


@given(numbers)
@example("9223372036854775807")
@example("18446744073709549999")
def test_what_is_accepted_over_rest_arrives_as_sent_and_is_accepted_by_the_operator(text: str) -> None:
    assume(inexact_numbers(text.encode()) == [])
    kept = as_kept(text)
    assert Decimal(str(kept)) == Decimal(text)
    assert is_kept(kept)


@example(10**21 - 1)
@given(st.integers(2**63, 10**21 - 1) | st.integers(-(10**21) + 1, -(2**63) - 1))
def test_a_whole_number_beyond_64_bits_is_always_found(number: int) -> None:
    assert not is_kept(as_kept(str(number)))


texts = st.text(max_size=5) | st.sampled_from(["1e400", "18446744073709551617", 'a"1e400'])
trees = st.recursive(
    texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(trees)
def test_only_numbers_are_found_and_each_by_a_pointer_that_leads_to_it(tree: Any) -> None:
    for found in inexact_numbers(json.dumps(tree).encode()):
        there = tree
        for part in found["pointer"].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            there = there[int(key)] if isinstance(there, list) else there[key]
        assert isinstance(there, int | float)
        assert not isinstance(there, bool)


# --- where they are refused ----------------------------------------------------------------------

ROUND = 18446744073709552000
STEP = {"name": "a", "image": "busybox:1"}
SPECS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"parameters": [{"name": "seed", "default": {"x": [1, ROUND]}}]},
        "/parameters/0/default/x/1",
        "the default of the parameter 'seed' has the number 18446744073709552000 in it",
    ),
    ({"parameters": [{"name": "seed", "default": ROUND}]}, "/parameters/0/default", "'seed'"),
    (
        {"steps": [STEP | {"env": [{"name": "A", "valueFrom": {"fieldRef": {"x": ROUND}}}]}]},
        "/steps/0/env/0/valueFrom/fieldRef/x",
        "step 'a' has the number",
    ),
    (
        {"steps": [STEP | {"envFrom": [{"prefix": ROUND}]}]},
        "/steps/0/envFrom/0/prefix",
        "step 'a' has the number",
    ),
    (
        {"steps": [STEP | {"podTemplate": {"spec": {"terminationGracePeriodSeconds": ROUND}}}]},
        "/steps/0/podTemplate/spec/terminationGracePeriodSeconds",
        "step 'a' has the number",
    ),
]


@pytest.mark.parametrize(("spec", "pointer", "says"), SPECS, ids=[pointer for _, pointer, _ in SPECS])
def test_a_workflow_with_a_rounded_number_is_not_accepted(
    spec: dict[str, Any], pointer: str, says: str
) -> None:
    found = workflow_problems(WorkflowSpec.model_validate({"steps": [STEP]} | spec), PodPolicy())
    [problem] = [one for one in found if one.pointer == pointer and "rounded" in one.message]
    assert problem.reason == conditions.INVALID_SPEC
    assert problem.message.startswith(says) or says in problem.message
    assert "may have been rounded on its way here; write it as text" in problem.message


def test_a_run_with_a_rounded_number_among_its_values_is_refused() -> None:
    [problem] = parameter_problems(WorkflowSpec(), {"a": 1, "seed": [{"x": ROUND}]})
    assert (problem.pointer, problem.reason) == ("/parameters/seed/0/x", conditions.INVALID_SPEC)
    assert problem.message.startswith("the parameter 'seed' has the number 18446744073709552000 in it")
