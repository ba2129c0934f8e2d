"""A skipped test is a test that did not run: under CI that is a failure, elsewhere it is listed.

The hooks live here, and `tests/conftest.py` takes them over, so that a test can run them in a
pytest of its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import PurePosixPath

import pytest


def nothing_may_be_skipped() -> bool:
    """Whether the environment says CI, in any of the ways that services do."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a skip a failure. An expected failure (xfail) also reports itself as skipped, and stays."""
    if report.skipped and not hasattr(report, "wasxfail") and nothing_may_be_skipped():
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason_of(report)}"


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped, as its author wrote it."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def tier_of(nodeid: str) -> str:
    """The part of the suite that a test belongs to: `tests/unit`."""
    return "/".join(PurePosixPath(nodeid.partition("::")[0]).parts[:2])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Refuse skips of tests."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse skips of whole modules."""
    report = yield
    refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tiers were not run in full, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    counts = Counter((tier_of(report.nodeid), reason_of(report)) for report in skipped)
    if counts:
        terminalreporter.section("NOT EVERYTHING WAS TESTED", sep="!", yellow=True, bold=True)
    for (tier, reason), count in sorted(counts.items()):
        terminalreporter.write_line(f"{tier}: {count} skipped: {reason}", yellow=True)
