"""Limits on requests: the size of their heads and bodies, and how many a second a caller may send.

Probes and metrics are not limited: whatever callers do, the cluster can ask how the facade is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from nightcrawler_api.caller import CALLER, Caller
from nightcrawler_api.errors import answer
from nightcrawler_api.http.rates import Rates

MAX_BODY: Final = "nightcrawler_api.max_body"
"""The key of the most bytes of a body in a request's ASGI scope."""

_SEPARATORS: Final = len(b": \r\n")
_OF_THE_LINE: Final = len(b"GET  HTTP/1.1\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits.

    Attributes:
        head: Bytes of the request's line and headers.
        body: Bytes of a body, before and after it is unpacked.
        per_second: Requests a second of one caller; None for any number.
    """

    head: int
    body: int
    per_second: int | None = None


class Limited:
    """Refuses what exceeds the limits; the caller must be known already."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._rates = Rates(limits.per_second) if limits.per_second is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        app = self._app
        if scope["type"] == "http":
            scope[MAX_BODY] = self._limits.body
            # The parser notices only heads that arrive in several parts.
            if _head_bytes(scope) > self._limits.head:
                app = answer(431, too_long(self._limits.head), headers={"Connection": "close"})
            elif self._rates is not None and scope["path"].startswith("/api/"):
                caller: Caller = scope[CALLER]
                if wait := self._rates.take(caller.key, time.monotonic()):
                    app = self._refusal(str(caller), wait)
        await app(scope, receive, send)

    def _refusal(self, caller: str, wait: float) -> ASGIApp:
        seconds = math.ceil(wait)
        detail = (
            f"{caller} sends more than {self._limits.per_second} requests a second, the most that one caller "
            f"may; try again in {seconds} s; the administrator can allow more with "
            "NIGHTCRAWLER_MAX_REQUESTS_PER_SECOND"
        )
        return answer(429, detail, headers={"Retry-After": str(seconds)})


def too_long(limit: int) -> str:
    """The refusal of a head that is too long."""
    return f"the request's line and headers are longer than {limit} bytes"


def _head_bytes(scope: Scope) -> int:
    line = len(scope["raw_path"] or b"") + len(scope["query_string"]) + _OF_THE_LINE
    return line + sum(len(name) + len(value) + _SEPARATORS for name, value in scope["headers"])
