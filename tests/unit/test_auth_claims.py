"""From claims to callers: from and for whom tokens are, when they hold, where they name groups and roles."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.auth.claims import LEEWAY_SECONDS, ClaimRules, Refused, caller_of, strings_in, value_at

NOW: Final = 1_000_000.0
RULES: Final = ClaimRules("https://login", frozenset(("app", "other-app")))
GOOD: Final[dict[str, Any]] = {"iss": "https://login", "aud": "app", "sub": "1", "exp": NOW + 60}


def claims(**changed: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | changed).items() if value is not None}


def test_a_good_token_has_its_caller() -> None:
    token = claims(name="Jane Doe", email="jane@example.com", groups=["a", "b"], roles="Data Scientist")
    caller = caller_of(token, RULES, NOW)
    assert (caller.name, caller.id, caller.email) == ("Jane Doe", "https://login#1", "jane@example.com")
    assert caller.groups == {"a", "b"}
    assert caller.roles == {"data scientist"}
    assert caller.expires == NOW + 60 + LEEWAY_SECONDS
    assert not caller.memberships
    assert not caller.is_admin


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"iss": "https://login/"}, "not from https://login"),
        ({"iss": None}, "not from https://login"),
        ({"iss": ["https://login"]}, "not from https://login"),
        ({"aud": None}, "its audience has to be app or other-app"),
        ({"aud": "App"}, "meant for others"),
        ({"aud": ["a", "b"]}, "meant for others"),
        ({"aud": {"app": True}}, "meant for others"),
        ({"exp": None}, "no expiry"),
        ({"exp": NOW - LEEWAY_SECONDS}, "has expired"),
        ({"exp": "tomorrow"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"nbf": NOW + LEEWAY_SECONDS + 1}, "not valid yet"),
        ({"iat": NOW + LEEWAY_SECONDS + 1}, "not valid yet"),
        ({"nbf": []}, "nbf is no time"),
        ({"sub": None}, "does not say who"),
        ({"sub": "  "}, "does not say who"),
        ({"sub": 7}, "does not say who"),
        ({"sub": "s" * 600}, "does not say who"),
        ({"groups": [str(number) for number in range(6_000)]}, "more than 5000 groups"),
    ],
)
def test_these_are_refused_with_a_sentence(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        caller_of(claims(**changed), RULES, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["x", "other-app"]},
        {"exp": NOW - LEEWAY_SECONDS + 1},
        {"exp": NOW + 0.5},
        {"nbf": NOW + LEEWAY_SECONDS},
        {"iat": NOW - 1e6},
    ],
)
def test_these_are_accepted(changed: dict[str, Any]) -> None:
    assert caller_of(claims(**changed), RULES, NOW).subject == "1"


@pytest.mark.parametrize(
    ("path", "there", "found"),
    [
        ("groups", {"groups": "one"}, ["one"]),
        ("groups", {"groups": ["one", "two", 3, None, "", ["three"]]}, ["one", "two", "three"]),
        ("groups", {"groups": {"one": 1}}, []),
        ("groups", {}, []),
        ("realm_access.roles", {"realm_access": {"roles": ["admin"]}}, ["admin"]),
        ("realm_access.roles", {"realm_access": "roles"}, []),
        ("resource_access.my.app.roles", {"resource_access": {"my.app": {"roles": ["a"]}}}, ["a"]),
        ("https://example.com/roles", {"https://example.com/roles": ["a"]}, ["a"]),
        ("https://example.com/a.roles", {"https://example.com/a": {"roles": "b"}}, ["b"]),
        ("a.b", {"a.b": ["literal"], "a": {"b": ["nested"]}}, ["literal"]),
    ],
)
def test_groups_and_roles_are_found_by_their_path(path: str, there: dict[str, Any], found: list[str]) -> None:
    assert strings_in(value_at(there, path)) == found
    caller = caller_of(claims(**there), replace(RULES, groups=path, roles=path), NOW)
    assert caller.groups == set(found)


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ({"name": "Jane", "preferred_username": "jd"}, "Jane"),
        ({"name": " ", "preferred_username": "jd"}, "jd"),
        ({"email": "j@example.com"}, "j@example.com"),
        ({}, "1"),
        ({"name": ["Jane"]}, "1"),
        ({"name": "\x1b[31mJane\x1b[0m\u202e"}, "Jane"),
        ({"name": "J" * 1_000}, "J" * 256),
    ],
)
def test_a_name_for_people_is_found_and_is_plain(there: dict[str, Any], name: str) -> None:
    assert caller_of(claims(**there), RULES, NOW).name == name


@pytest.mark.parametrize(
    ("there", "email"),
    [
        ({"email": "j@example.com", "email_verified": True}, "j@example.com"),
        ({"email": "j@example.com", "email_verified": False}, ""),
        ({"email": ["j@example.com"]}, ""),
    ],
)
def test_an_address_counts_only_if_the_provider_vouches_for_it(there: dict[str, Any], email: str) -> None:
    assert caller_of(claims(**there), RULES, NOW).email == email


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "name", "groups", "email"]), _json
    )
)
def test_whatever_claims_are_they_are_refused_or_taken_and_nothing_else(there: dict[str, Any]) -> None:
    with contextlib.suppress(Refused):
        assert caller_of(GOOD | there, RULES, NOW).subject
