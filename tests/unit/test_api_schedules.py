"""The preview of a schedule: its next times, or what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nightcrawler_api.errors import Invalid
from nightcrawler_api.schedules.service import preview

NOW = datetime(2025, 3, 28, 12, 0, 0, 500, tzinfo=UTC)


def test_the_next_ten_times_are_those_of_the_wall_clock() -> None:
    shown = preview({"type": "cron", "cron": "30 2 * * *", "timeZone": "Europe/Berlin"}, NOW, "UTC")
    assert shown["timeZone"] == "Europe/Berlin"
    assert len(shown["times"]) == 10
    # Clocks are set forward in the second of these nights.
    assert shown["times"][:3] == ["2025-03-29T01:30:00Z", "2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z"]


def test_an_interval_counts_from_now_and_ends_when_it_says() -> None:
    schedule = {"type": "interval", "interval": "6 hours", "end": "2025-03-29T00:00:00Z"}
    shown = preview(schedule, NOW, "Europe/Berlin")
    assert shown == {
        "times": ["2025-03-28T18:00:00Z", "2025-03-29T00:00:00Z"],
        "timeZone": "Europe/Berlin",
    }


@pytest.mark.parametrize(
    ("schedule", "pointer", "says"),
    [
        ({"type": "cron", "cron": "99 * * * *"}, "/cron", "minute '99' is not understood"),
        ({"type": "cron"}, "/cron", "a schedule of type cron needs this field"),
        ({"type": "interval", "interval": "9 seconds"}, "/interval", "the shortest is 10 seconds"),
        ({"type": "cron", "cron": "@daily", "timeZone": "Europe/Berlim"}, "/timeZone", "'Europe/Berlin'"),
        ({"type": "cron", "cron": "@daily", "start": "soon"}, "/start", "is no time with its zone"),
        (
            {
                "type": "cron",
                "cron": "@daily",
                "start": "2025-01-02T00:00:00Z",
                "end": "2025-01-01T00:00:00Z",
            },
            "/end",
            "is before start",
        ),
        ({"type": "cron", "cron": "@daily", "startingDeadline": "soon"}, "/startingDeadline", "2 hours"),
        ({"type": "cron", "cron": "@daily", "concurrencyPolicy": "forbid"}, "/concurrencyPolicy", "Forbid"),
        ({"type": "cron", "cron": "@daily", "timezone": "UTC"}, "/timezone", "timeZone"),
        ({"type": "weekly"}, "/type", "cron"),
    ],
)
def test_problems_are_reported_at_their_field(schedule: dict[str, Any], pointer: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        preview(schedule, NOW, "UTC")
    [error] = refused.value.fields
    assert error["pointer"] == pointer
    assert says in error["detail"]
