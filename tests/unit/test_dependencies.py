"""Graphs of a thousand steps: dependencies and cycles are found in what is as dense as a graph can be."""

from __future__ import annotations

import pytest

from nightcrawler_crds.v1alpha1 import Step, WorkflowSpec, conditions
from nightcrawler_crds.validation import PodPolicy, Problem, workflow_problems

NAMES = [f"s{number}" for number in range(1000)]


def problems(depends_on: dict[str, list[str]]) -> list[Problem]:
    steps = [Step(name=name, image="b", depends_on=depends_on.get(name)) for name in NAMES]
    return workflow_problems(WorkflowSpec(steps=steps), PodPolicy(), size=0)


@pytest.fixture(scope="module")
def dense() -> dict[str, list[str]]:
    """Each step waits for all above it: 499,500 edges."""
    return {name: NAMES[:index] for index, name in enumerate(NAMES)}


def test_a_step_that_waits_for_all_others_is_accepted() -> None:
    assert problems({NAMES[-1]: NAMES[:-1]}) == []


def test_the_densest_graph_is_accepted(dense: dict[str, list[str]]) -> None:
    assert problems(dense) == []


def test_the_one_edge_that_closes_a_cycle_is_found_among_half_a_million(dense: dict[str, list[str]]) -> None:
    [problem] = problems(dense | {NAMES[0]: [NAMES[-1]]})
    assert problem.reason == conditions.DEPENDENCY_CYCLE
    assert f"{NAMES[0]} → {NAMES[-1]}" in problem.message
