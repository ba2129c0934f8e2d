"""Routes about schedules."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Body, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import FacadeOf
from nightcrawler_api.errors import BODIES
from nightcrawler_api.http.json_body import JsonRoute
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import answers
from nightcrawler_api.responses import json
from nightcrawler_api.schedules.schemas import PreviewBody, SchedulePreview
from nightcrawler_api.schedules.service import preview
from nightcrawler_crds import clock

router = Routes(prefix="/api/schedules", tags=["schedules"], route_class=JsonRoute)

_ASKED: Final[dict[str, Any]] = {
    "cron": {
        "summary": "Every Monday in Berlin",
        "value": {"type": "cron", "cron": "0 6 * * 1", "timeZone": "Europe/Berlin"},
    },
    "interval": {"summary": "Every six hours", "value": {"type": "interval", "interval": "6 hours"}},
}
_ANSWER: Final = {"times": ["2025-07-14T04:00:00Z", "2025-07-21T04:00:00Z"], "timeZone": "Europe/Berlin"}


@router.post(
    "/preview",
    summary="Preview a schedule",
    responses=answers(200, SchedulePreview, "Its next ten times.", _ANSWER, 422, *BODIES),
)
@performs(Operation.PREVIEW_SCHEDULE)
async def preview_schedule(
    facade: FacadeOf,
    body: Annotated[PreviewBody, Body(openapi_examples=_ASKED)],
) -> Response:
    """The schedule as in `config.schedule` of a workflow. Nothing is saved."""
    return json(preview(body, clock.utcnow(), facade.settings.default_time_zone))
