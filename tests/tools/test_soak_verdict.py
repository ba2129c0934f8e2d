"""What a soak is judged by: lines through what was sampled, and counts of what was wrong."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from nightcrawler_api import settings as facade
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_operator import settings as operator
from tests.bench.engines.nightcrawler import environment_of
from tests.bench.soak import report
from tests.bench.soak.absence import Absence, absence, silent, times_given_up
from tests.bench.soak.kinds import KINDS, manifest, mixture
from tests.bench.soak.samples import COUNTED, Process, Sample, sample_from, waits
from tests.bench.soak.verdict import EVENTS_LIVE, OPERATOR, Check, judge, levels, passed, trend

_FACADE = "nightcrawler-api"


_Grows = Mapping[str, Callable[[float], float]]
_LIFE = 300.0


def _samples(grows: _Grows | None = None, minutes: float = 60) -> list[Sample]:
    """A sample each ten seconds of a soak in which nothing grows but what is named."""

    def of(name: str, at: float, usual: float) -> float:
        return grows[name](at) if grows and name in grows else usual

    return [
        Sample(
            at=at,
            life=int(at // _LIFE),
            age=at % _LIFE,
            processes={
                OPERATOR: Process(of("operator", at, 70), int(of("operator_fds", at, 20)), 4, at),
                _FACADE: Process(of("facade", at, 80), int(of("facade_fds", at, 20)), 5, at),
            },
            objects={r.plural: int(of(r.plural, at, 200)) for r in COUNTED},
            etcd_mb=20,
            submitted=int(at),
            alive=9,
            lag_s=of("lag", at, 0.02),
            waits_ms={"handover_p50": of("handover", at, 15), "start_p50": of("start", at, 25)},
        )
        for at in (10.0 * n for n in range(1, int(minutes * 6)))
    ]


def _found(**changes: Any) -> dict[str, Any]:
    return {
        "plan": {"minutes": 60, "rate": 150, "looks": 4},
        "submitted": 100,
        "runs": {"one": 60, "dag": 40},
        "pods": 260,
        "wrong": {},
        "examples": [],
        "outages_s": [16.1, 17.0],
        "seconds_to_drain": 4.2,
        "left": {"jobs": 0, "pods": 0},
        "given_up": 0,
        "duty_timeout": 360,
        "facade": {"answers": {"200": 500, "404": 3}},
        "trouble": {OPERATOR: [], _FACADE: []},
        "stamp": {"cores": 2, "cpu": "a processor", "date": "2026-01-02T03:04:05Z", "commit": "abc1234"},
        **changes,
    }


def _failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.passed is False]


def test_a_soak_in_which_nothing_grows_has_passed() -> None:
    checks = judge(_found(), _samples())
    assert _failed(checks) == []
    assert passed(checks)
    assert all(check.passed is not None for check in checks)


def test_a_fitted_line_has_a_slope_and_its_certainty() -> None:
    line = trend([(x, 5 + 2 * x) for x in range(11)])
    assert line is not None
    assert line.rise == pytest.approx(20)
    assert line.error == pytest.approx(0, abs=1e-9)
    assert line.level == 15
    assert trend([(1, 1), (2, 2), (3, 3)]) is None
    assert trend([(1, y) for y in range(9)]) is None


@pytest.mark.parametrize(
    ("grows", "name"),
    [
        ({"facade": lambda at: 80 + at / 360}, "facade: memory"),
        ({"operator": lambda at: 70 + at // 300}, "operator: memory at the end of a life, over its lives"),
        ({"operator": lambda at: 70 + (at % 300) / 30}, "operator: memory within a life, a minute"),
        ({"facade_fds": lambda at: 20 + at / 300}, "facade: descriptors"),
        ({"operator_fds": lambda at: 20 + at / 300}, "operator: descriptors"),
        ({"lag": lambda at: at / 600}, "lag: oldest run without a Pod"),
        ({"handover": lambda at: 15 + at / 60}, "hand-over: median of a window"),
        ({"pods": lambda at: 200 + at / 10}, "objects: pods"),
        ({"controllerrevisions": lambda at: 200 + at / 10}, "objects: controllerrevisions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_growth_is_found(grows: _Grows, name: str) -> None:
    assert _failed(judge(_found(), _samples(grows))) == [name]


def test_growth_at_the_beginning_only_is_no_growth() -> None:
    checks = judge(_found(), _samples({"facade": lambda at: min(80, 50 + at / 10)}))
    assert passed(checks)


def test_noise_is_no_growth() -> None:
    checks = judge(_found(), _samples({"lag": lambda at: 3.0 if at % 170 == 0 else 0.0}))
    assert passed(checks)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"submitted": 101}, "runs lost: not ended in time, or never judged"),
        ({"left": {"jobs": 1, "pods": 0}}, "Jobs and Pods left when all runs had ended"),
        (
            {"facade": {"answers": {"200": 1, "no answer": 1}}},
            "answers of the facade but 200 (and 404 for runs that are gone)",
        ),
        ({"trouble": {OPERATOR: ["Traceback"]}}, "lines of errors in the logs"),
        ({"outages_s": [16.0, 26.0]}, "longest from a kill until it works again"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_run_fails_the_soak(changes: dict[str, Any], name: str) -> None:
    assert _failed(judge(_found(**changes), _samples())) == [name]


def test_a_step_that_ran_twice_fails_the_soak_as_such() -> None:
    assert "steps that ran twice" in _failed(judge(_found(wrong={"ran twice": 1}), _samples()))


def test_a_soak_that_is_too_short_says_so_and_does_not_fail() -> None:
    checks = judge({**_found(), "plan": {"minutes": 1}}, _samples(minutes=0.5))
    assert passed(checks)
    assert any(check.passed is None for check in checks)


def test_a_short_soak_is_judged_once_the_number_of_events_is_steady() -> None:
    filling = {"events": lambda at: 10 * min(at, EVENTS_LIVE)}
    short = {**_found(), "plan": {"minutes": 10}}
    assert passed(judge(short, _samples(filling, minutes=10)))
    filling = {"events": lambda at: 10 * at}
    assert _failed(judge(short, _samples(filling, minutes=10))) == ["objects: events"]


def test_the_report_shows_every_check_and_a_plot() -> None:
    samples = _samples({"pods": lambda at: 200 + at / 10})
    checks = [asdict(check) for check in judge(_found(), samples)]
    text, plots = report.section(_found(checks=checks, samples=[asdict(sample) for sample in samples]))
    assert text.startswith("## Soak\n")
    assert "150 runs a minute for 60 minutes" in text
    assert "killed (SIGKILL) and started again 2 times; after 16.1 to 17 s" in text
    assert all(check["name"] in text for check in checks)
    assert text.count("**failed**") == 1
    assert set(plots) == {"soak.svg"}
    assert "(performance/soak.svg)" in text
    remarked = {
        **_found(checks=checks, samples=[asdict(sample) for sample in samples]),
        "remark": "It was X.",
    }
    assert "\n\nIt was X.\n\n" in report.section(remarked)[0]


_AWAY: Mapping[str, Any] = {
    "plan": {"minutes": 60, "rate": 150, "looks": 4, "away": True},
    "before": {"start_p50": 24.0, "handover_p50": 15.0},
    "given_up": 900,
}


def test_a_soak_in_which_what_is_away_moves_nothing_has_passed() -> None:
    checks = judge(_found(**_AWAY), _samples())
    assert passed(checks)
    found = {check.name: (check.value, check.limit) for check in checks}
    assert found["start: median, more than with both there"] == (1.0, 15.0)
    assert found["hand-over: median, more than with both there"] == (0.0, 15.0)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"given_up": 0}, "nothing was given up, although both were away"),
        (
            {"before": {"start_p50": 25.0, "handover_p50": -1.0}},
            "hand-over: median, more than with both there",
        ),
        ({"before": {"start_p50": 9.0, "handover_p50": 15.0}}, "start: median, more than with both there"),
    ],
    ids=["given up", "hand-over", "start"],
)
def test_what_is_away_and_moves_start_or_hand_over_fails_the_soak(changes: dict[str, Any], name: str) -> None:
    assert _failed(judge(_found(**{**_AWAY, **changes}), _samples())) == [name]


def test_without_a_soak_to_compare_with_it_cannot_be_said() -> None:
    checks = judge(_found(**{**_AWAY, "before": {}}), _samples())
    assert passed(checks)
    assert [check.name for check in checks if check.passed is None] == [
        "start: median, more than with both there",
        "hand-over: median, more than with both there",
    ]


def test_levels_leave_out_the_beginning_and_young_operators() -> None:
    samples = _samples({"start": lambda at: 500 if at < 600 or at % _LIFE < 30 else 20})
    assert levels(_found(), samples) == {"start_p50": 20, "handover_p50": 15}


def test_the_report_says_what_was_away() -> None:
    samples = [asdict(sample) for sample in _samples()]
    text, plots = report.section(_found(**_AWAY, checks=[], samples=samples))
    assert text.startswith("## Soak without log store and mail server\n")
    assert "within 360 s of its end was given up, 900 times. An independent" in text
    assert set(plots) == {"soak-away.svg"}
    assert "(performance/soak-away.svg)" in text


async def test_what_is_away_takes_connections_and_never_answers() -> None:
    async with silent() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"EHLO nobody\r\n")
        await writer.drain()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
    assert await reader.read() == b"", "it is gone with the soak"
    writer.close()


async def test_an_operator_and_a_facade_are_told_of_what_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    async with absence(away=True, duty_timeout=360) as absent:
        for load, settings in ((operator.load, absent.operator), (facade.load, absent.facade)):
            with monkeypatch.context() as patched:
                for name, value in environment_of(settings).items():
                    patched.setenv(name, value)
                assert load().keeps_logs
        assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert "AWS_ENDPOINT_URL" not in os.environ
    async with absence(away=False, duty_timeout=360) as absent:
        assert absent == Absence()


def test_what_was_given_up_is_counted_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    log.write_text("WARNING DutyOverdue: not done: Logs, Notifications\nWARNING another\n" * 3)
    assert times_given_up(log) == 3


def test_samples_are_read_as_they_were_written() -> None:
    (sample, *_) = _samples()
    assert sample_from(asdict(sample)) == sample


def test_windows_without_a_wait_have_no_figure() -> None:
    assert waits({"start": [0.01, 0.03, 0.02], "handover": []}) == {"start_p50": 20.0, "start_p99": 30.0}


def test_a_hundred_runs_have_the_kinds_by_their_shares() -> None:
    assert sum(kind.share for kind in KINDS) == 100
    hundred = [kind.name for kind in itertools.islice(mixture(1), 100)]
    assert Counter(hundred) == {kind.name: kind.share for kind in KINDS}
    assert hundred != [kind.name for kind in itertools.islice(mixture(2), 100)]


def test_workflows_of_every_kind_are_told_of_and_accepted() -> None:
    for kind in KINDS:
        spec = manifest(kind, "w", history=3, emails=True)["spec"]
        read = WorkflowSpec.model_validate(spec, extra="forbid")
        assert read.config is not None
        assert read.config.notifications is not None
        assert read.config.notifications.email is True


def test_a_workflow_of_a_kind_keeps_its_history_and_has_its_fault() -> None:
    failing = next(kind for kind in KINDS if kind.name == "failing")
    spec = manifest(failing, "w", history=3)["spec"]
    assert spec["history"] == {"completed": 3, "failed": 3}
    first, second = spec["steps"]
    assert first["retries"] == 1
    assert first["podTemplate"]["metadata"]["annotations"]["kwok.nightcrawler.dev/exit-code"] == "3"
    assert "retries" not in second
