"""The bench's arithmetic: percentiles, spread, the steady middle, distributions, turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.__main__ import turns
from tests.bench.figures import distribution, percentile, rate, spread
from tests.bench.shapes import chain, diamond

_samples = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


def test_percentiles_are_samples_by_nearest_rank() -> None:
    samples = [float(n) for n in range(100, 0, -1)]
    assert percentile(samples, 0.5) == 50
    assert percentile(samples, 0.99) == 99
    assert percentile(samples, 1) == 100
    assert percentile([7.0], 0.01) == 7
    assert math.isnan(percentile([], 0.5))


@given(_samples, st.floats(0.01, 1))
def test_no_fewer_than_that_share_lie_at_or_below_a_percentile(samples: list[float], share: float) -> None:
    found = percentile(samples, share)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= share * len(samples) - 1e-6


@given(_samples)
def test_a_spread_has_the_median_between_its_ends(values: list[float]) -> None:
    found = spread(values)
    assert found.least <= found.median <= found.most
    assert found.count == len(values)


def test_the_median_of_an_even_number_lies_in_the_middle() -> None:
    assert spread([4.0, 1.0, 3.0, 2.0]).median == 2.5


def test_a_constant_pace_equals_its_rate() -> None:
    ends = [0.5 * n for n in range(1, 301)]
    assert rate(0.0, reversed(ends)) == pytest.approx(120)


def test_runs_in_lockstep_are_no_faster_than_all_of_them_together() -> None:
    crowd = [60.0 + n / 1_000 for n in range(200)]
    assert rate(0.0, [*crowd, *(60 + end for end in crowd)]) == pytest.approx(200, rel=0.01)


def test_there_is_no_rate_without_a_completion() -> None:
    assert math.isnan(rate(0.0, []))


def test_a_distribution_climbs_to_all_samples_in_few_points() -> None:
    curve = distribution([n / 1000 for n in range(1, 1001)], most=50)
    assert len(curve) == 50
    assert curve[-1] == (1000, 100)
    assert curve == sorted(curve)
    assert distribution([0.0]) == [(0.1, 100)]
    assert distribution([]) == []


def test_every_other_turn_is_reversed() -> None:
    assert list(turns(["a", "b", "c"], 3)) == ["a", "b", "c", "c", "b", "a", "a", "b", "c"]


def test_only_a_chain_is_recognised_as_a_chain() -> None:
    assert chain(1, 1).is_chain
    assert chain(10, 0.1).is_chain
    assert [step.name for step in chain(2, 1).steps] == ["step-0", "step-1"]
    assert not diamond(1).is_chain
    assert len(diamond(1).steps) == 5
