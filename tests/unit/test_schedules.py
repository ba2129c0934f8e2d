"""Which cron lines and intervals are accepted, and the errors for the others."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import example, given
from hypothesis import strategies as st

from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation import PodPolicy, Problem, workflow_problems
from nightcrawler_crds.validation.schedules import CronError, cron_fields

NOW = datetime(2025, 7, 10, 14, 45, 30, tzinfo=UTC)


def problems(**schedule: Any) -> list[Problem]:
    spec = {"steps": [{"name": "a", "image": "busybox:1"}], "config": {"schedule": schedule}}
    return workflow_problems(WorkflowSpec.model_validate(spec), PodPolicy())


@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("0 0 * * 1", "2025-07-14T00:00"),
        ("*/15 9-17 * * MON-FRI", "2025-07-10T15:00"),
        ("  5   4 * * sun ", "2025-07-13T04:05"),
        ("0 0 1,15 * *", "2025-07-15T00:00"),
        ("0 12 * JAN,Jul *", "2025-07-11T12:00"),
        ("0 0 L * *", "2025-07-31T00:00"),
        ("0 0 LW * *", "2025-07-31T00:00"),
        ("0 0 * * 5L", "2025-07-25T00:00"),
        ("0 0 * * 1#2", "2025-07-14T00:00"),
        ("0 0 * * 7", "2025-07-13T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("@hourly", "2025-07-10T15:00"),
        ("@daily", "2025-07-11T00:00"),
        ("@weekly", "2025-07-13T00:00"),
        ("@monthly", "2025-08-01T00:00"),
        ("@yearly", "2026-01-01T00:00"),
    ],
)
def test_a_cron_line_is_accepted_and_comes_when_it_says(line: str, following: str) -> None:
    assert f"{next(CronSim(cron_fields(line), NOW)):%Y-%m-%dT%H:%M}" == following
    assert problems(type="cron", cron=line) == []


FIVE = "five: minute, hour, day of the month, month, day of the week"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("99 * * * *", "minute '99' is not understood; it takes 0 to 59; * is any"),
        ("* 24 * * *", "hour '24' is not understood; it takes 0 to 23"),
        ("0 0 0 * *", "day of the month '0' is not understood; it takes 1 to 31, L (the last day)"),
        ("0 0 * 13 *", "month '13' is not understood; it takes 1 to 12 and JAN to DEC"),
        (
            "0 0 * * MONDAY",
            "day of the week 'MONDAY' is not understood; it takes 0 to 7 (both are Sunday), SUN to SAT",
        ),
        ("0 0 * * 1#6", "day of the week '1#6'"),
        ("0 0 ? * 1", "day of the month '?'"),
        ("0 0 * * FRI-MON", "day of the week 'FRI-MON'"),
        ("*/0 * * * *", "minute '*/0'"),
        ("5- * * * *", "minute '5-'"),
        ("-5 * * * *", "minute '-5'"),
        ("0 ٣ * * *", "hour '٣'"),
        ("0 0 31 2 *", "none of its months has a day 31"),
        ("0 0 31 4,6 *", "none of its months has a day 31"),
        ("0 0 0 * * *", f"it has 6 fields, and cron has {FIVE}"),
        ("0 0 * * 1 2025", "it has 6 fields"),
        ("0 0 * *", "it has 4 fields"),
        ("soon", "it has 1 field, "),
        (" ", "it has 0 fields"),
        ("TZ=UTC 0 0 * * *", "it cannot name a time zone"),
        ("CRON_TZ=Europe/Berlin 0 0 * * *", "it cannot name a time zone"),
        ("@reboot", "the words are @hourly, @daily, @weekly, @monthly, @yearly"),
        ("@every 5m", "the words are @hourly"),
        ("@Daily", "the words are @hourly"),
        ("0 0 *\n* *", "it has a line break in it"),
        ("0 0 * * 1\n", "it has a line break in it"),
    ],
)
def test_a_bad_cron_line_is_refused_with_the_field_and_what_it_accepts(line: str, says: str) -> None:
    [problem] = problems(type="cron", cron=line)
    assert (problem.pointer, problem.reason) == ("/config/schedule/cron", conditions.INVALID_SPEC)
    assert problem.message.startswith(f"cron {line!r} cannot be used: ")
    assert says in problem.message


def test_a_cron_line_of_an_interval_schedule_is_checked_too() -> None:
    assert [p.pointer for p in problems(type="interval", interval="1h", cron="99 * * * *")] == [
        "/config/schedule/cron"
    ]


@pytest.mark.parametrize("interval", ["10 seconds", 10, "10000ms", "365 days"])
def test_an_interval_of_ten_seconds_or_more_is_accepted(interval: object) -> None:
    assert problems(type="interval", interval=interval) == []


@pytest.mark.parametrize("interval", ["9 seconds", 9.999, "9999ms", 0.001])
def test_an_interval_of_less_than_ten_seconds_is_refused(interval: object) -> None:
    [problem] = problems(type="interval", interval=interval)
    assert (problem.pointer, problem.reason) == ("/config/schedule/interval", conditions.INVALID_SPEC)
    assert problem.message == f"interval {interval!r} cannot be used: the shortest is 10 seconds"


piece = st.sampled_from(
    [*"01579*,-/#LW?@=²٣\n", "12", "31", "59", "99", "LW", "MON", "FRI", "jan", "TZ", "0x1"]
)
field = st.lists(piece, min_size=1, max_size=5).map("".join)
nearly_cron = st.lists(field, min_size=4, max_size=6).map(" ".join)


@given(nearly_cron | st.text(max_size=40))
@example("0 0 1-5/99999999999999999999 * *")
@example("0 0 * * 1#2/3,L")
@example("0" * 256 + " * * * *")
def test_any_text_is_five_fields_that_have_a_next_time_or_a_refusal(text: str) -> None:
    with suppress(CronError):
        fields = cron_fields(text)
        assert len(fields.split()) == 5
        assert cron_fields(fields) == fields
        assert next(CronSim(fields, NOW)) > NOW
