"""When a schedule would run; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from nightcrawler_api import refusals
from nightcrawler_api.errors import Invalid
from nightcrawler_api.refusals import at
from nightcrawler_api.schedules.schemas import SchedulePreview
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.v1alpha1 import Schedule
from nightcrawler_crds.validation import schedules

_SHOWN: Final = 10


def preview(body: Mapping[str, Any], now: datetime, default_zone: str) -> SchedulePreview:
    """The next ten times of a schedule, as if it were saved now.

    Raises:
        Invalid: It cannot be used; with the fields, and what they take.
    """
    try:
        schedule = Schedule.model_validate(body, strict=True)
    except ValidationError as error:
        known = tuple(Schedule.model_json_schema()["properties"])
        raise Invalid(refusals.from_model(error.errors(include_url=False), body, known)) from None
    found = [at(f"/{field}", message) for field, message in schedules.problems(schedule)]
    if getattr(schedule, schedule.type) is None:
        found.append(at(f"/{schedule.type}", f"a schedule of type {schedule.type} needs this field"))
    if found:
        raise Invalid(found)
    times = schedules.times_of(schedule, now.replace(microsecond=0), default_zone)
    shown: list[str] = []
    following = times.after(now)
    while following is not None and len(shown) < _SHOWN:
        shown.append(to_wire(following))
        following = times.after(following)
    return {"times": shown, "timeZone": schedule.time_zone or default_zone}
