"""What a run of all tests may take, and what it took.

The budget is for two cores with everything built. It is reported and not asserted: a machine that has
more to do is no reason for a failure.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import pytest

from tests.support.skips import tier_of
from tests.support.workers import TOGETHER

BUDGET_MINUTES: Final[Mapping[str, float]] = {"tests/unit": 3, "tests/integration": 12, "tests/e2e": 10}
"""The time that a tier takes of the run: that of its tests, shared by the workers that have them."""
RUN_MINUTES: Final = 25.0
"""The time that `make test` may take; its workers do several things at once."""

_BEGAN: Final = pytest.StashKey[float]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record when the run began."""
    session.config.stash[_BEGAN] = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where all tiers ran, report the time of each and of the run beside the budget."""
    reports = [r for kind in ("passed", "failed", "error") for r in terminalreporter.stats.get(kind, ())]
    workers = getattr(config.option, "numprocesses", None) or 1
    taken = seconds_by_tier(
        ((r.nodeid, r.duration) for r in reports if isinstance(r, pytest.TestReport)), workers
    )
    if not taken.keys() >= BUDGET_MINUTES.keys():
        return
    terminalreporter.section("time")
    for line, over in report(taken, time.monotonic() - config.stash[_BEGAN]):
        terminalreporter.write_line(line, yellow=over, bold=over)


def seconds_by_tier(durations: Iterable[tuple[str, float]], workers: int) -> dict[str, float]:
    """The seconds that each tier took of the run, fixtures included; the real node has one worker."""
    taken: defaultdict[str, float] = defaultdict(float)
    for nodeid, seconds in durations:
        tier = tier_of(nodeid)
        taken[tier] += seconds if tier == TOGETHER else seconds / workers
    return dict(taken)


def report(taken: Mapping[str, float], whole: float) -> Iterable[tuple[str, bool]]:
    """A line a tier and one for the run, each with whether it is over its budget."""
    for tier, seconds in sorted(taken.items()):
        budget = BUDGET_MINUTES.get(tier)
        yield _line(tier, seconds, budget)
    yield _line("the run", whole, RUN_MINUTES)


def _line(what: str, seconds: float, budget: float | None) -> tuple[str, bool]:
    took = f"{what}: {seconds / 60:.1f} min"
    if budget is None:
        return took, False
    over = seconds > budget * 60
    return f"{took} of {budget:g} in its budget" + (": OVER" if over else ""), over
