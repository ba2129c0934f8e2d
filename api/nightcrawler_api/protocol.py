"""HTTP as uvicorn speaks it, but with an answer's head and body in one packet, and heads of bounded size.

uvicorn writes head and body one after the other, and asyncio gives each to the kernel at once. These system
calls are the dearest part of giving an answer that is there, and each of them wakes the other side.

Its parser takes a request's line and headers of any length into memory, and what it cannot read it answers
with plain text. Here a head has a limit, and both are answered like every other error.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from nightcrawler_api.errors import answer

MAX_HEAD_BYTES: Final = 64 << 10
"""Of a request's line and headers, which is what uvicorn's other parser takes."""
_TOO_LONG: Final = (431, f"the request's line and headers are longer than {MAX_HEAD_BYTES} bytes")


class HttpProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    _unframed = 0
    """Bytes since the parser last came to the end of a head, to a part of a body, or to its end."""
    _came_on = False
    _refusal = (400, "the request is not HTTP that can be read")

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection."""
        super().connection_made(Gathering(transport, self.loop))

    @override
    def data_received(self, data: bytes) -> None:
        """Read on, unless a head, or what follows a body, has grown too long without an end."""
        self._came_on = False
        super().data_received(data)
        self._unframed = 0 if self._came_on else self._unframed + len(data)
        if self._unframed > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._end_with(*_TOO_LONG)

    @override
    def on_headers_complete(self) -> None:
        """A head has ended: it is measured, for it may have come in one piece."""
        self._came_on = True
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refusal = _TOO_LONG
            raise ValueError  # which the parser makes an error of its own, that ends in send_400_response
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._came_on = True
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        """A request has ended."""
        self._came_on = True
        super().on_message_complete()

    @override
    def send_400_response(self, msg: str) -> None:
        """What the parser could not read, or we did not want it to."""
        self._end_with(*self._refusal)

    def _end_with(self, status: int, detail: str) -> None:
        """Answer outside of any application, and close: where the next request begins is not known."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            # An earlier request is still being answered; whoever sent it would take this for its answer.
            self.transport.close()
            return
        told = answer(status, detail, headers={"Connection": "close"})
        headers = [b"%b: %b\r\n" % header for header in told.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *headers, b"\r\n", bytes(told.body)]))
        self.transport.close()


class Gathering(asyncio.Transport):
    """A transport that sends what is written in one turn of the event loop in one go."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(bytes(data))

    def _send(self) -> None:
        if self._written:
            written, self._written = self._written, []
            self._transport.write(b"".join(written))

    # --- what ends or changes the connection: what was written before goes before it -----------------

    @override
    def close(self) -> None:
        self._send()
        self._transport.close()

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._send()
        self._transport.set_protocol(protocol)

    # --- the rest is as it is --------------------------------------------------------------------------

    @override
    def abort(self) -> None:
        self._transport.abort()

    @override
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    @override
    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._written))

    @override
    def pause_reading(self) -> None:
        self._transport.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._transport.resume_reading()
