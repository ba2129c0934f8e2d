"""Who gets the places that are free under limits: by priority, then age, and never above a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.allocation import (
    Subject,
    Subjects,
    allocate,
    first_full,
    limit_of_installation,
    rank,
    subjects_of,
    written_limit,
)
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_operator.claims import Claim, Place
from nightcrawler_operator.decisions.queueing import is_outdated
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import at

EAST: Final = Place("east", EnvironmentSpec(), conditions.CHOSEN, "runs in east")
INSTALLATION: Final = Subject("Installation")
TRAIN: Final = Subject("Workflow", "train", "default")


def a_claim(
    name: str,
    *,
    created: float = 0,
    priority: str | None = None,
    workflow: str = "train",
    environment: str = "east",
    namespace: str = "default",
    **fields: Any,
) -> Claim:
    subjects = subjects_of(namespace, workflow, environment)
    place = rank(priority, at(created), namespace, name)
    return Claim(f"uid-{name}", place, subjects, EAST, made_at=at(created), **fields)


def in_lines(*claims: Claim) -> dict[Subjects, list[Claim]]:
    lines: dict[Subjects, list[Claim]] = {}
    for claim in sorted(claims, key=lambda one: one.rank):
        lines.setdefault(claim.subjects, []).append(claim)
    return lines


def granted(
    *claims: Claim, limits: Mapping[Subject, int], held: Mapping[Subject, int] | None = None
) -> list[str]:
    allocation = allocate(in_lines(*claims), held or {}, limits.get)
    return [claim.rank.name for claim in allocation.granted]


@pytest.mark.parametrize(
    ("claims", "limits", "held", "names"),
    [
        pytest.param(
            [a_claim("old"), a_claim("new", created=9)],
            {INSTALLATION: 2},
            {INSTALLATION: 1},
            ["old"],
            id="the older one first",
        ),
        pytest.param(
            [a_claim("old"), a_claim("urgent", created=9, priority="critical")],
            {INSTALLATION: 1},
            {},
            ["urgent"],
            id="a higher priority before an older one",
        ),
        pytest.param(
            [a_claim("low", priority="low"), a_claim("usual", created=5), a_claim("high", priority="high")],
            {INSTALLATION: 2},
            {},
            ["high", "usual"],
            id="no priority is medium",
        ),
        pytest.param(
            [a_claim("b"), a_claim("a"), a_claim("z", namespace="a-team")],
            {INSTALLATION: 2},
            {},
            ["z", "a"],
            id="of the same age by namespace and name",
        ),
        pytest.param(
            [a_claim("first", priority="high"), a_claim("other", workflow="test")],
            {TRAIN: 1},
            {TRAIN: 1},
            ["other"],
            id="a run that waits for its workflow does not stop others",
        ),
        pytest.param(
            [a_claim("east"), a_claim("west", environment="west")],
            {Subject("Environment", "east"): 1},
            {Subject("Environment", "east"): 3},
            ["west"],
            id="more than a lowered limit allows: nothing until enough have ended",
        ),
        pytest.param(
            [a_claim("a", namespace="a"), a_claim("b", namespace="b")],
            {Subject("Namespace", "a"): 1, INSTALLATION: 5},
            {Subject("Namespace", "a"): 1},
            ["b"],
            id="a namespace's limit is of that namespace",
        ),
        pytest.param(
            [a_claim("a", namespace="a"), a_claim("b", namespace="b")],
            {Subject("Workflow", "train", "a"): 1},
            {Subject("Workflow", "train", "a"): 1},
            ["b"],
            id="workflows of one name in two namespaces are two",
        ),
        pytest.param([a_claim("a"), a_claim("b")], {}, {}, ["a", "b"], id="without limits everybody"),
    ],
)
def test_places_go_by_priority_then_age_within_all_limits(
    claims: list[Claim], limits: dict[Subject, int], held: dict[Subject, int], names: list[str]
) -> None:
    assert granted(*claims, limits=limits, held=held) == names


def test_the_first_of_each_line_that_gets_nothing_is_named_with_what_is_full() -> None:
    claims = [a_claim("a"), a_claim("b", created=1), a_claim("c", created=2)]

    allocation = allocate(in_lines(*claims), {}, {TRAIN: 1}.get)

    assert [(claim.rank.name, subject) for claim, subject in allocation.blocked] == [("b", TRAIN)]


def test_the_narrowest_limit_is_named_first() -> None:
    claim = a_claim("a")
    full = dict.fromkeys(claim.subjects, 1)

    assert first_full(claim.subjects, full, full.get) == TRAIN
    assert first_full(claim.subjects, full, {INSTALLATION: 1}.get) == INSTALLATION


@pytest.mark.parametrize(
    ("subject", "most"),
    [
        (INSTALLATION, 9),
        (Subject("Namespace", "vision"), 2),
        (Subject("Namespace", "another"), 5),
        (TRAIN, None),
        (Subject("Environment", "east"), None),
    ],
)
def test_the_installation_limits_itself_and_its_namespaces(subject: Subject, most: int | None) -> None:
    limits = Limits(max_running=9, max_running_per_namespace=5, max_running_in={"vision": 2})

    assert limit_of_installation(subject, limits) == most


@pytest.mark.parametrize(("spec", "most"), [({}, None), ({"maxRunning": 3}, 3), ({"maxRunning": "3"}, None)])
def test_a_limit_is_read_as_it_is_written(spec: dict[str, Any], most: int | None) -> None:
    assert written_limit(spec) == most


@pytest.mark.parametrize(
    ("flexible", "age", "outdated"), [(True, 31, True), (True, 30, False), (False, 3600, False)]
)
def test_only_the_place_that_a_strategy_chose_is_outdated_after_half_a_minute(
    flexible: bool, age: float, outdated: bool
) -> None:
    assert is_outdated(a_claim("a", flexible=flexible), at(age)) is outdated


# --- laws ---------------------------------------------------------------------------------------------

_claims = st.lists(
    st.builds(
        a_claim,
        st.integers(0, 10_000).map(lambda number: f"run-{number}"),
        created=st.integers(0, 5),
        priority=st.sampled_from(["low", "medium", "high", "critical", None]),
        workflow=st.sampled_from("ab"),
        environment=st.sampled_from(["east", "west"]),
        namespace=st.sampled_from(["default", "other"]),
    ),
    max_size=30,
    unique_by=lambda claim: claim.uid,
)
_limits = st.dictionaries(
    st.sampled_from(
        [subject for n in ("default", "other") for w in "ab" for subject in subjects_of(n, w, "east")]
        + [Subject("Environment", "west")]
    ),
    st.integers(1, 6),
)
_held = st.dictionaries(st.sampled_from([INSTALLATION, Subject("Environment", "east")]), st.integers(0, 6))


@given(_claims, _limits, _held)
def test_nothing_is_given_away_above_a_limit(
    claims: list[Claim], limits: dict[Subject, int], held: dict[Subject, int]
) -> None:
    allocation = allocate(in_lines(*claims), held, limits.get)

    after = Counter(held)
    for claim in allocation.granted:
        after.update(claim.subjects)
    given_away = {subject for claim in allocation.granted for subject in claim.subjects}
    assert all(after[subject] <= limits.get(subject, after[subject]) for subject in given_away)


@given(_claims, _limits, _held)
def test_each_run_gets_what_those_before_it_leave(
    claims: list[Claim], limits: dict[Subject, int], held: dict[Subject, int]
) -> None:
    """The same as to ask every run in turn, which takes longer where thousands wait for one workflow."""
    assert allocate(in_lines(*claims), held, limits.get).granted == _in_turn(claims, limits, held)


def _in_turn(
    claims: Sequence[Claim], limits: Mapping[Subject, int], held: Mapping[Subject, int]
) -> tuple[Claim, ...]:
    taken, found = Counter(held), []
    for claim in sorted(claims, key=lambda one: one.rank):
        if first_full(claim.subjects, taken, limits.get) is None:
            found.append(claim)
            taken.update(claim.subjects)
    return tuple(found)
