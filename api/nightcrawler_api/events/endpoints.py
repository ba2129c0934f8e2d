"""Route of the event stream."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Query, Response
from fastapi.responses import StreamingResponse

from nightcrawler_api import errors
from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import CallerOf, Events, StreamsOf
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.http.streams import Stream
from nightcrawler_api.pagination import Unset

router = Routes(prefix="/api/events", tags=["events"])

_EXAMPLE: Final = """event: resync
data: {}
id: 5c1f0c9e-41
retry: 2817

event: execution
data: {"id":"exec-5002","workflowId":"wf-1001","status":"running","startTime":"2025-10-17T16:00:00Z",\
"executor":"John Doe","progress":"1/5","workflow":"GPU Training Pipeline"}
id: 5c1f0c9e-42

event: workflowDeleted
data: {"id":"wf-1003"}
id: 5c1f0c9e-43

"""
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events, until the client closes or the facade stops.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    },
    **errors.responses(422, 503),
}


@router.get("", summary="Follow changes", response_class=StreamingResponse, responses=_RESPONSES)
@performs(Operation.FOLLOW_CHANGES)
async def follow_changes(
    events: Events,
    streams: StreamsOf,
    caller: CallerOf,
    workflow: Annotated[
        Annotated[str, Query(max_length=253)] | None,
        Unset(),
        Query(description="Only changes of the workflow with this id, and of its executions."),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(description="The id of the last event that was received; the stream continues after it."),
    ] = None,
) -> Response:
    """Server-sent events: `workflow` and `execution` with the row of a list, as often as one changes.

    Changes of one object within a quarter of a second are one event. `workflowDeleted` and `executionDeleted`
    have the ids. `resync` says that changes may be missing, as at the beginning: read the lists, then go on.
    """
    await events.check(caller)
    return Stream(events.follow(caller, last_event_id, workflow), streams, caller)
