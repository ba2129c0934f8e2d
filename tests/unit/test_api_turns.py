"""The place of a run in line, and when its turn is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.turns import Live, turn_of
from nightcrawler_crds.allocation import Subject, rank, subjects_of
from tests.support.snapshots import at

INSTALLATION = Subject("Installation")
TRAIN = Subject("Workflow", "train", "default")


def a_run(
    name: str,
    seconds: float = 100,
    *,
    in_line: bool = False,
    created: float = 0,
    priority: str | None = None,
    workflow: str = "train",
) -> Live:
    position = rank(priority, at(created), "default", name)
    return Live(f"uid-{name}", position, subjects_of("default", workflow, "east"), seconds, in_line)


def waiting(name: str, created: float = 0, **fields: Any) -> Live:
    return a_run(name, in_line=True, created=created, **fields)


def turn(
    name: str, *runs: Live, limits: Mapping[Subject, int] | None = None
) -> tuple[int, float | None] | None:
    """The place of a run in line, and in how many seconds it starts."""
    found = turn_of(f"uid-{name}", runs, (limits or {INSTALLATION: 1}).get)
    return (found.place, found.seconds) if found is not None else None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first", (1, 40)),
        ("second", (2, 60)),
        ("third", (3, 140)),
        ("urgent", None),
        ("another", None),
    ],
)
def test_each_run_starts_when_those_before_it_have_ended(
    name: str, expected: tuple[int, float] | None
) -> None:
    """Of two places one is free after 40 s and one after 60 s; then the first one takes 100 s."""
    runs = [a_run("a", 60), a_run("b", 40)]
    runs += [waiting(one, created) for created, one in enumerate(("first", "second", "third"))]

    assert turn(name, *runs, limits={INSTALLATION: 2}) == expected


def test_a_run_of_a_higher_priority_is_next_whenever_it_came() -> None:
    runs = [a_run("a", 60), waiting("old"), waiting("urgent", 99, priority="critical")]

    assert turn("urgent", *runs) == (1, 60)
    assert turn("old", *runs) == (2, 160)


def test_those_that_wait_for_another_limit_are_not_ahead() -> None:
    limits = {TRAIN: 1, Subject("Workflow", "test", "default"): 1}
    runs = [a_run("a", 60), a_run("b", 10, workflow="test")]
    runs += [waiting("old"), waiting("other", 5, workflow="test")]

    assert turn("other", *runs, limits=limits) == (1, 10)


def test_a_place_that_is_about_to_be_given_is_had_at_once() -> None:
    assert turn("old", waiting("old"), waiting("new", 5)) == (1, 0)
    assert turn("new", waiting("old"), waiting("new", 5)) == (2, 100)


def test_what_it_waits_for_is_what_the_operator_says() -> None:
    found = turn_of(
        "uid-old", [a_run("a", 60), a_run("b", 50), waiting("old")], {TRAIN: 2, INSTALLATION: 9}.get
    )
    assert found is not None
    assert found.queue is not None
    assert found.queue.sentence == "workflow 'train' has 2 of at most 2 runs under way"


def test_without_a_run_that_ends_nobody_knows() -> None:
    assert turn("old", waiting("old"), limits={INSTALLATION: 0}) == (1, None)


def test_very_far_behind_nobody_knows_either() -> None:
    runs = [a_run("a"), *(waiting(f"run-{number:05}", number) for number in range(3_000))]

    assert turn("run-02999", *runs) == (3_000, None)


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=30), st.integers(1, 5))
def test_with_one_limit_the_turns_are_those_of_the_next_free_place(lasts: list[int], most: int) -> None:
    """As customers are served who stand in one line before several counters."""
    runs = [waiting(f"run-{number:02}", number, seconds=long) for number, long in enumerate(lasts)]
    counters = [0.0] * most
    for number, long in enumerate(lasts):
        free = min(counters)
        assert turn(f"run-{number:02}", *runs, limits={INSTALLATION: most}) == (number + 1, free)
        counters[counters.index(free)] = free + long
