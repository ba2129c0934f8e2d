"""Route of logs."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Header, Path, Query, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import CallerOf, Logs, StreamsOf
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.http.streams import Stream
from nightcrawler_api.logs import place
from nightcrawler_api.logs.schemas import LogParameters, StepLog
from nightcrawler_api.logs.service import END
from nightcrawler_api.openapi import reads
from nightcrawler_api.responses import ETagResponse

router = Routes(prefix="/api/workflows/{workflowId}/executions/{executionId}/logs", tags=["executions"])

_EXAMPLE: Final[dict[str, Any]] = {
    "executionId": "exec-5002",
    "step": "Model Training",
    "attempt": 1,
    "logs": [
        {
            "timestamp": "16:00:10",
            "level": "info",
            "message": "epoch 1 of 10",
            "time": "2025-10-17T16:00:10.482113205Z",
        }
    ],
}
_EVENTS: Final = """event: log
data: {"timestamp":"16:00:10","level":"info","message":"epoch 1 of 10",\
"time":"2025-10-17T16:00:10.4Z","attempt":1}
id: 1.1760716808.1.1760716810400000000

event: end
data: {"attempt":1,"detail":""}
id: end

"""
_RESPONSES: Final = reads(StepLog, "The log: as JSON, as text, or as events.", _EXAMPLE, 404, 422, 503)
_RESPONSES[200]["content"] |= {
    "text/plain": {"schema": {"type": "string"}, "example": "epoch 1 of 10\n"},
    "text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS},
}
_RESPONSES[204] = {"description": "Nothing follows the last event that was received."}


@router.get("", summary="Show, download or follow the log of a step", responses=_RESPONSES)
@performs(Operation.SHOW_LOG)
async def show_log(
    logs: Logs,
    streams: StreamsOf,
    caller: CallerOf,
    workflow_id: Annotated[str, Path(alias="workflowId", description="The workflow's id.")],
    execution_id: Annotated[str, Path(alias="executionId", description="The execution's id.")],
    asked: Annotated[LogParameters, Query()],
    accept: Annotated[str, Header(description="text/plain downloads the log; else it is JSON.")] = "",
    last_event_id: Annotated[
        str | None,
        Header(description="The id of the last event that was received; the stream continues after it."),
    ] = None,
) -> Response:
    """The last 1,000 lines of the last attempt, or of another one.

    As text it is all of the log that the node still has. With `follow` lines are sent as events while the
    step runs, and those of its next attempts: `log`, `gap` where lines may be missing, `end` after the last.
    """
    if asked.follow and last_event_id == END:
        return Response(status_code=204)
    where = (workflow_id, execution_id, asked.step)
    attempt = await logs.attempt(*where, asked.attempt, caller)
    if asked.follow:
        begin = place.parse(last_event_id) or place.Place(attempt)
        only = asked.attempt is not None
        return Stream(logs.follow(*where, begin, caller, only=only), streams, caller)
    if "text/plain" in accept:
        text = await logs.text(*where, attempt, caller)
        response = Stream(text, streams, caller, media_type="text/plain")
        file = quote(f"{execution_id}-{asked.step}-{attempt}.log")
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{file}"
        return response
    return ETagResponse(await logs.show(*where, attempt, caller))
