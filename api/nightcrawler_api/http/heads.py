"""HEAD, for every readable resource: the response to GET without its body (RFC 9110, section 9.3.2)."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers HEAD with the status and headers of GET, as soon as they are sent.

    A stream would otherwise go on for as long as its client listens; its application is cancelled.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def send_head(message: Message) -> None:
            if message["type"] != "http.response.start" or answered.is_set():
                return
            await send(message)
            await send({"type": "http.response.body", "body": b""})
            answered.set()

        # A copy: the server keeps its own, and by that knows that no body follows the length in the headers.
        get = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, send_head))
        head = asyncio.ensure_future(answered.wait())
        try:
            await asyncio.wait((get, head), return_when=asyncio.FIRST_COMPLETED)
        finally:
            head.cancel()
            stopped = get.cancel()
            # Both have ended when this returns, so that nothing runs on behind the request.
            results = await asyncio.gather(get, return_exceptions=True)
        if not stopped and isinstance(results[0], BaseException):
            raise results[0]
