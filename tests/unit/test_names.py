"""Names of children: deterministic, valid, and never two alike."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.names import child_name, revision_name

DNS_LABEL: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

executions = st.from_regex(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
workflows = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str)
step_names = st.text(min_size=1, max_size=100)
children = st.tuples(uids | st.sampled_from(["a", "ab", "1"]), step_names, st.integers(1, 120))


@given(executions, children)
def test_a_childs_name_is_a_dns_label_of_at_most_52_characters(
    execution: str, child: tuple[str, str, int]
) -> None:
    name = child_name(execution, *child)

    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 52
    # A Pod of a Job adds a dash and five characters, and has to be a DNS label as well.
    assert len(f"{name}-x7k2p") <= 63


@given(executions, st.lists(children, unique=True, min_size=2, max_size=30))
def test_no_two_children_have_one_name(execution: str, some: list[tuple[str, str, int]]) -> None:
    assert len({child_name(execution, *child) for child in some}) == len(some)


ALIKE: Final = {
    "the same letters": [("u", "Train Model", 1), ("u", "train-model", 1), ("u", "train_model", 1)],
    "nothing but signs": [("u", "!!!", 1), ("u", "???", 1), ("u", "训练", 1)],
    "digits at the seam of step and attempt": [("u", "step1", 1), ("u", "step", 11), ("u", "step11", 1)],
    "digits at the seam of UID and step": [("u1", "1a", 1), ("u", "11a", 1), ("u11", "a", 1)],
    "long names that differ at the end": [("u", "x" * 99 + "a", 1), ("u", "x" * 99 + "b", 1)],
    "the same step of another run of that name": [("u1", "a", 1), ("u2", "a", 1)],
}


@pytest.mark.parametrize("some", ALIKE.values(), ids=ALIKE)
def test_children_with_similar_names_get_different_names(some: list[tuple[str, str, int]]) -> None:
    assert len({child_name("run", *child) for child in some}) == len(some)


@given(executions, children)
def test_a_childs_name_is_deterministic(execution: str, child: tuple[str, str, int]) -> None:
    assert child_name(execution, *child) == child_name(execution, *child)


def test_a_childs_name_never_changes_between_releases() -> None:
    # A running execution's Jobs must be found again by the next version: this name is a contract.
    assert child_name("image-classification-x7k2p", "0f4b6c1e", "Model Training", 2) == (
        "image-classification-x7k-model-training-lzwdgxuzpz"
    )


def test_the_name_shows_run_and_step_to_people() -> None:
    assert child_name("nightly", "u", "Data Preparation (v2)", 1).startswith("nightly-data-preparation-v2-")


@given(workflows, uids, st.text(), st.text())
def test_a_revisions_name_says_which_content_it_holds(
    workflow: str, uid: str, content: str, other: str
) -> None:
    name = revision_name(workflow, uid, content)

    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 52
    assert (name == revision_name(workflow, uid, other)) is (content == other)


@given(workflows, st.lists(uids, unique=True, min_size=2, max_size=2), st.text())
def test_a_recreated_workflow_has_its_own_revisions(workflow: str, two: list[str], content: str) -> None:
    assert revision_name(workflow, two[0], content) != revision_name(workflow, two[1], content)
