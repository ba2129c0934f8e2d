"""The words of permissions, and what is wrong with others."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.validation import PodPolicy, workflow_problems
from nightcrawler_crds.words.access import ALL, Access, parse_access
from nightcrawler_crds.words.grammar import WordError
from tests.support.snapshots import a_spec

SINGLE = ("View", "Execute", "Edit", "Delete")


@given(st.sets(st.sampled_from(SINGLE), min_size=1), st.randoms())
def test_any_words_in_any_case_and_order_grant_what_they_say_and_view(
    chosen: set[str], chance: object
) -> None:
    for order in itertools.permutations(chosen):
        for text in (", ".join(order), ",".join(order).upper(), " ,  ".join(order).lower()):
            assert parse_access(text) == {Access(word) for word in chosen} | {Access.VIEW}


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        ("Full Access", ALL),
        ("full  access", ALL),
        ("View Only", {Access.VIEW}),
        ("VIEW ONLY", {Access.VIEW}),
        ("Execute", {Access.VIEW, Access.EXECUTE}),
    ],
)
def test_these_grant(text: str, granted: set[Access]) -> None:
    assert parse_access(text) == granted


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "View,",
        "Write",
        "Full",
        "Only",
        "View Edit",
        "View Only, Edit",
        "Full Access, Edit",
        "*",
    ],
)
def test_other_words_are_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(WordError, match='Accepted: "Full Access", "View Only", or any of View, Execute'):
        parse_access(text)


def test_a_workflow_with_such_words_is_refused_where_they_are() -> None:
    permissions = [
        {"role": "Viewer", "access": "View Only"},
        {"role": "Data Scientist", "access": "Execute, Write"},
    ]
    [problem] = workflow_problems(a_spec("a", config={"security": {"permissions": permissions}}), PodPolicy())
    assert problem.pointer == "/config/security/permissions/1/access"
    assert "the role 'Data Scientist': access 'Execute, Write' cannot be used" in problem.message
    assert "it cannot have 'write'" in problem.message
