"""What the bench derives from idle processes, from growth, and from recovery after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import kubelet
from tests.bench.load import side_by_side
from tests.bench.quiet import Look, is_quiet
from tests.bench.rows.memory import per_1000
from tests.bench.rows.recovery import arrivals


def _looks(*sizes: float, busy: float = 0.0) -> list[Look]:
    """Looks at a process, half a second apart, that works so much of the time."""
    return [Look(0.5 * n, 0.5 * n * busy, size) for n, size in enumerate(sizes)]


def test_a_process_is_quiet_once_it_has_kept_its_size_without_work() -> None:
    assert is_quiet(_looks(80, 80, 80.2, 80.2, 80.2, 80.2))
    assert is_quiet(_looks(60, 70, 80, 80, 80, 80, 80, 80)), "what was before does not matter"


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(_looks(80, 80, 80, 80), id="too few"),
        pytest.param(_looks(80, 80, 80, 80, 80, 81), id="it grows"),
        pytest.param(_looks(84, 83, 82, 81, 80, 80), id="it shrinks"),
        pytest.param(_looks(80, 80, 80, 80, 80, 80, busy=0.5), id="it works"),
    ],
)
def test_a_process_that_moves_is_not_quiet(looks: list[Look]) -> None:
    assert not is_quiet(looks)


def test_growth_is_that_of_all_processes_from_the_least_to_the_most() -> None:
    levels = {
        0: {"operator": 60.0, "facade": 50.0},
        1_000: {"operator": 70.0, "facade": 53.0},
        5_000: {"operator": 100.0, "facade": 60.0},
    }
    assert per_1000(levels) == 10.0


def test_shrinking_memory_is_reported() -> None:
    assert per_1000({0: {"operator": 60.0}, 500: {"operator": 59.0}}) == -2.0


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=300))
def test_arrivals_reach_their_total_at_the_last_one(seconds: list[float]) -> None:
    curve = arrivals(seconds)
    assert len(curve) <= 60
    assert curve == sorted(curve)
    assert curve[-1] == (round(max(seconds), 2), 100)


def test_a_kubelet_reports_the_exit_code_and_its_phase() -> None:
    good, bad = kubelet.ended(0), kubelet.ended(3)
    assert good["phase"] == "Succeeded"
    assert bad["phase"] == "Failed"
    assert bad["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_no_more_than_the_limit_is_in_flight() -> None:
    under_way: set[int] = set()
    most = 0

    async def one(number: int) -> None:
        nonlocal most
        under_way.add(number)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(number)

    started: list[int] = []

    def work() -> Iterator[asyncio.Task[None]]:
        for number in range(20):
            started.append(number)
            yield asyncio.ensure_future(one(number))

    await side_by_side(work(), at_once=3)
    assert started == list(range(20))
    assert most == 3
