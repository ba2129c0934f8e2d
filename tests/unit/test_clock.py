"""Times in Kubernetes' form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from nightcrawler_crds import clock


@given(st.datetimes(datetime(1901, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - naive, as they are taken
@example(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
@example(datetime(2024, 2, 29, tzinfo=UTC))
def test_whole_seconds_are_written_as_the_time_that_they_are(moment: datetime) -> None:
    seconds = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1)
    assert clock.seconds_to_wire(seconds) == clock.to_wire(moment)
