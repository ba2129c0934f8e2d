"""Ids of requests: taken from `X-Request-Id` or made here, in the response, in every log line and problem.

A proxy in front, the facade's log and its audit trail then name a request alike; and so does the audit log of
the API server, which takes the id of a request from the header `Audit-ID` (`Store`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import MutableSequence
from typing import Any, Final
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from nightcrawler_crds.correlation import REQUEST_ID

HEADER: Final = "X-Request-Id"

_WIRE: Final = HEADER.lower().encode()
# No spaces or quotes: it stands in log lines as it is.
_USABLE: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")


def new_id() -> str:
    """An id that no other request has."""
    return str(uuid4())


def current_id() -> str:
    """The id of the request that is being worked on; a new one if there is none."""
    return REQUEST_ID.get() or new_id()


class RequestIds:
    """Gives each request its id, and the id to its response; the outermost, so that nothing lacks it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope["headers"]) or new_id()
        # Not reset: the server logs what an application raises in the same context.
        REQUEST_ID.set(request_id)
        header = (_WIRE, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: MutableSequence[tuple[bytes, bytes]] = list(message.get("headers", ()))
                headers.append(header)
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_id)


def _given(headers: Any) -> str:
    """The id that a request came with; empty if it has none, several, or one that cannot be used."""
    given = [value for name, value in headers if name == _WIRE]
    return given[0].decode() if len(given) == 1 and _USABLE.fullmatch(given[0]) else ""


class NamesRequest(logging.Filter):
    """Adds the id of the request to what is logged about it, for `logformat`."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if request_id := REQUEST_ID.get():
            record.__dict__["requestId"] = request_id
        return True
