"""JSON responses, encoded by msgspec; those of reads with an ETag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from nightcrawler_api.http import etags
from nightcrawler_api.repeats import REPLAYED, Made

JSON: Final = "application/json"
YAML: Final = "application/yaml"
CSV: Final = "text/csv; charset=utf-8"

# Browsers may cache it and revalidate each time; shared caches must not: it may depend on the caller.
_CACHE_CONTROL: Final = "private, no-cache"


class ETagResponse(Response):
    """A response with an ETag; 304 without a body if the client's If-None-Match names it.

    `body` is a value, or text for other types than JSON; `more` are additional headers, and `version` is that
    of the object that it shows.
    """

    def __init__(
        self,
        body: Any,
        media_type: str = JSON,
        more: Mapping[str, str] | None = None,
        *,
        version: str = "",
    ) -> None:
        content = msgspec.json.encode(body) if media_type == JSON else body.encode()
        self._etag = etags.etag_of(content, version)
        headers = {"ETag": self._etag.decode(), "Cache-Control": _CACHE_CONTROL, **(more or {})}
        super().__init__(content, 200, headers, media_type)
        self._not_modified = [pair for pair in self.raw_headers if pair[0] in (b"etag", b"cache-control")]

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        conditions = [value for name, value in scope["headers"] if name == b"if-none-match"]
        if conditions and etags.names(b", ".join(conditions), self._etag):
            await send({"type": "http.response.start", "status": 304, "headers": self._not_modified})
            await send({"type": "http.response.body", "body": b""})
            return
        await super().__call__(scope, receive, send)


class YamlResponse(ETagResponse):
    """Text in YAML with an ETag."""

    media_type = YAML

    def __init__(self, text: str) -> None:
        super().__init__(text, YAML)


def json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as a response."""
    return Response(msgspec.json.encode(body), status, headers, JSON)


def made(what: Made[Any], location: str) -> Response:
    """What a request has created, as a response."""
    headers = {"Location": location} | ({REPLAYED: "true"} if what.replayed else {})
    return json(what.shown, 201, headers)


def table(text: str, name: str, following: str | None = None) -> ETagResponse:
    """A table as a file that browsers save; `following` is the URL of what follows it."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if following is not None:
        headers["Link"] = f'<{following}>; rel="next"'
    return ETagResponse(text, CSV, headers)
