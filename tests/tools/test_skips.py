"""The suite's own rule on skipped tests, seen in a pytest of its own."""

import pytest

pytest_plugins = ["pytester"]

SKIPS = """
import pytest

def test_that_runs():
    pass

@pytest.mark.skip(reason="no cluster here")
def test_that_is_skipped():
    pass

@pytest.mark.xfail(strict=True, reason="known")
def test_that_fails_as_expected():
    raise AssertionError
"""
SKIPS_ITSELF = 'import pytest\npytest.skip("no root here", allow_module_level=True)\n'


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest("from tests.support.skips import *  # noqa: F403")
    return pytester


def run(suite: pytest.Pytester, folder: str, source: str) -> pytest.RunResult:
    module = suite.mkdir("tests").joinpath(folder, "test_it.py")
    module.parent.mkdir()
    module.write_text(source)
    return suite.runpytest_inprocess("-p", "no:asyncio")


def test_a_skip_is_a_failure_under_ci(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = run(suite, "unit", SKIPS)
    result.assert_outcomes(passed=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["*skipped, which CI does not allow: no cluster here*"])


def test_a_module_that_skips_itself_is_a_failure_under_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "1")
    result = run(suite, "e2e", SKIPS_ITSELF)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*skipped, which CI does not allow: no root here*"])


@pytest.mark.parametrize("ci", ["", "false"])
def test_a_skip_elsewhere_is_listed_with_its_tier(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    result = run(suite, "integration", SKIPS)
    result.assert_outcomes(passed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(
        ["*NOT EVERYTHING WAS TESTED*", "tests/integration: 1 skipped: no cluster here"]
    )
