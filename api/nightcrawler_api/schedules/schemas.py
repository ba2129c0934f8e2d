"""Requests and responses about schedules."""

from __future__ import annotations

from typing import Annotated, Any

from typing_extensions import TypedDict

from nightcrawler_api.openapi import DocumentedAs
from nightcrawler_crds.v1alpha1 import Schedule

PreviewBody = Annotated[dict[str, Any], DocumentedAs(Schedule)]


class SchedulePreview(TypedDict):
    """The next times of a schedule, in UTC; fewer than ten if it ends before. `timeZone` is that of cron."""

    times: list[str]
    timeZone: str
