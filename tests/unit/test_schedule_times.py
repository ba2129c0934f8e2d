"""The times of schedules: both ways through every change of clocks, and without drift."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.scheduletimes import (
    BoundedTimes,
    CronTimes,
    IntervalTimes,
    Times,
    UnknownZoneError,
    zone,
    zone_names,
)
from tests.support.referencetimes import changes_of_clocks, times_between

DAY = timedelta(days=1)
LINES = (
    "*/30 * * * *",
    "30 2 * * *",
    "0,15,30,45 0,1,2,3 * * *",
    "*/20 0-3 * * *",
    "0 */6 * * *",
    "7 0-23/2 * * 0,3",
    "59 23 * * *",
)


def forward(times: Times, begin: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    at: datetime | None = begin
    while (at := times.after(at or end)) is not None and at <= end:
        found.append(at)
    return found


def backward(times: Times, begin: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    at: datetime | None = end + timedelta(microseconds=1)
    while (at := times.before(at or begin)) is not None and at > begin:
        found.append(at)
    return found[::-1]


@given(
    st.sampled_from(LINES),
    st.integers(0, 3 * 365 * 86_400 * 10**6).map(
        lambda since: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(microseconds=since)
    ),
)
def test_within_a_minute_the_next_time_and_the_last_one_stay_the_same(line: str, moment: datetime) -> None:
    times, minute = CronTimes(line, UTC), moment.replace(second=0, microsecond=0)
    for passed in (timedelta(microseconds=1), moment - minute, timedelta(seconds=59, microseconds=999_999)):
        assert times.after(minute + passed) == times.after(minute)
        if passed:
            assert times.before(minute + passed) == times.before(minute + timedelta(minutes=1))


def test_times_are_those_of_the_wall_clock_through_every_kind_of_clock_change() -> None:
    kinds = list(changes_of_clocks(2010, 2027))
    assert len(kinds) > 30
    for index, (name, change) in enumerate(kinds):
        begin, end = change - DAY * 0.6, change + DAY * 0.6
        begin, end = (at.replace(second=0, microsecond=0) for at in (begin, end))
        for line in (LINES[index % len(LINES)], LINES[(index + 1) % len(LINES)]):
            expected = times_between(line, ZoneInfo(name), begin, end)
            times = CronTimes(line, zone(name))
            assert forward(times, begin, end) == expected, (line, name)
            assert backward(times, begin, end) == expected, (line, name)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana"])
def test_every_cron_line_is_right_in_a_zone_whose_clocks_change(line: str, name: str) -> None:
    for begin in (datetime(2025, 3, 29, tzinfo=UTC), datetime(2025, 10, 4, tzinfo=UTC)):
        end = begin + 2 * DAY
        expected = times_between(line, ZoneInfo(name), begin, end)
        times = CronTimes(line, zone(name))
        assert forward(times, begin, end) == backward(times, begin, end) == expected


def test_a_time_that_does_not_exist_comes_once_at_the_next_instant_that_does() -> None:
    berlin = CronTimes("30 2 * * *", zone("Europe/Berlin"))
    assert berlin.after(datetime(2025, 3, 30, 0, 0, tzinfo=UTC)) == datetime(2025, 3, 30, 1, 0, tzinfo=UTC)
    assert berlin.after(datetime(2025, 3, 30, 1, 0, tzinfo=UTC)) == datetime(2025, 3, 31, 0, 30, tzinfo=UTC)


def test_a_time_that_exists_twice_comes_once() -> None:
    berlin = CronTimes("30 2 * * *", zone("Europe/Berlin"))
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert berlin.after(first - timedelta(hours=1)) == first
    assert berlin.after(first) == datetime(2025, 10, 27, 1, 30, tzinfo=UTC)
    assert berlin.before(datetime(2025, 10, 26, 1, 15, tzinfo=UTC)) == first


def test_a_cron_line_that_never_comes_again_has_no_next_time() -> None:
    assert CronTimes("0 0 30 2 1", zone("UTC")).after(datetime(2025, 1, 1, tzinfo=UTC)) is not None
    assert CronTimes("0 0 29 2 1#5", zone("UTC")).before(datetime(2, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("name", ["Mars/Olympus", "localtime", "../UTC", "Europe", "europe/berlin", ""])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZoneError):
        zone(name)


def test_every_zone_can_be_used() -> None:
    for name in zone_names():
        assert zone(name).utcoffset(datetime(2025, 1, 1, tzinfo=UTC)) is not None


moments = st.integers(1_704_067_200, 1_893_456_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@given(moments, st.integers(10_000, 40_000_000), moments, st.booleans())
def test_an_interval_counts_from_its_anchor_and_never_drifts(
    anchor: datetime, milliseconds: int, at: datetime, at_once: bool
) -> None:
    anchor = anchor.replace(microsecond=0)
    times = IntervalTimes(anchor, milliseconds / 1000, at_once=at_once)
    following = times.after(at)
    assert following is not None
    assert following > at
    steps = (following - anchor) / timedelta(milliseconds=milliseconds)
    assert abs(steps - round(steps)) * milliseconds < 1000
    assert round(steps) >= (0 if at_once else 1)
    before = times.before(following)
    assert before is None or before <= at
    assert before is None or times.after(before) == following


@given(moments, moments, moments)
def test_bounds_are_included_and_nothing_is_beyond_them(a: datetime, b: datetime, at: datetime) -> None:
    start, end = sorted((a, b))
    times = BoundedTimes(CronTimes("0 */6 * * *", zone("UTC")), start, end)
    for found in (times.after(at), times.before(at)):
        assert found is None or start <= found <= end
    inside = CronTimes("0 */6 * * *", zone("UTC")).after(at)
    if inside is not None and start <= inside <= end:
        assert times.after(at) == inside


def test_a_far_time_of_a_cron_line_with_minutes_is_found_at_once() -> None:
    began = time.perf_counter()
    times = CronTimes("* * 29 2 *", zone("Europe/Berlin"))
    assert times.after(datetime(2024, 3, 1, tzinfo=UTC)) == datetime(2028, 2, 28, 23, 0, tzinfo=UTC)
    assert times.before(datetime(2028, 1, 1, tzinfo=UTC)) == datetime(2024, 2, 29, 22, 59, tzinfo=UTC)
    assert time.perf_counter() - began < 5
