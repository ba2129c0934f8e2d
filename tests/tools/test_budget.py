"""What a run says about its time, and how its tests are spread over workers."""

from __future__ import annotations

import pytest

from tests.support.budget import report, seconds_by_tier
from tests.support.workers import unit_of_work


def test_workers_share_a_tier_and_one_has_the_real_node() -> None:
    durations = [("tests/unit/test_a.py::test_x", 1.0), ("tests/unit/test_b.py::test_y[1]", 2.0)]
    taken = seconds_by_tier([*durations, ("tests/e2e/test_c.py::test_z", 4.0)], workers=2)
    assert taken == {"tests/unit": 1.5, "tests/e2e": 4.0}


def test_a_tier_over_its_budget_is_marked() -> None:
    taken = {"tests/unit": 60.0, "tests/e2e": 6_000.0, "tests/tools": 9_999.0}
    assert list(report(taken, whole=600.0)) == [
        ("tests/e2e: 100.0 min of 10 in its budget: OVER", True),
        ("tests/tools: 166.7 min", False),
        ("tests/unit: 1.0 min of 3 in its budget", False),
        ("the run: 10.0 min of 25 in its budget", False),
    ]


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/integration/test_order.py::test_x[a::b]", "tests/integration/test_order.py"),
        ("tests/e2e/test_logs.py::test_x", "tests/e2e"),
        ("tests/e2e/test_pods.py::test_y", "tests/e2e"),
    ],
)
def test_a_file_stays_on_one_worker_and_so_does_all_that_needs_the_real_node(
    nodeid: str, expected: str
) -> None:
    assert unit_of_work(nodeid) == expected
