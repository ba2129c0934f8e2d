"""HTTP by uvicorn and h11; requests that h11 cannot parse are answered with problem+json too.

uvicorn's other parser, httptools, saves about 150 µs of CPU time a request, but limits a request's head
only with a wrapper of uvicorn's internals. Without it the goals are met with room: with 10,000 workflows
and 100,000 executions (`tests.bench`, row list) 99 % of pages took up to 5.1 ms, of searches 5.4 ms, where
25 and 60 ms are allowed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import h11
from typing_extensions import override
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from nightcrawler_api.errors import answer
from nightcrawler_api.http.limits import too_long
from nightcrawler_api.requestids import HEADER, new_id

MAX_HEAD_BYTES: Final = 64 << 10
"""The limit of a request line and headers, if `uvicorn.Config` has no h11_max_incomplete_event_size."""


class _Connection(h11.Connection):
    """Sends the head of a response with its body, where the body is ready: its length is in the head then.

    As two writes they are two system calls, which take longer than all that happens in between, and the
    client wakes up twice.
    """

    _head: Sequence[bytes] = ()

    @override
    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """The bytes to be sent for an event."""
        parts = super().send_with_data_passthrough(event)
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
            self._head = parts or ()
            return []
        if self._head and parts is not None:
            parts, self._head = [*self._head, *parts], ()
        return parts


class HttpProtocol(H11Protocol):
    """uvicorn's protocol with its plain-text 400 replaced; for `uvicorn.Config(http=…)`."""

    @override
    def __init__(self, config: Config, *more: Any, **options: Any) -> None:
        super().__init__(config, *more, **options)
        self.conn = _Connection(h11.SERVER, config.h11_max_incomplete_event_size or MAX_HEAD_BYTES)

    @override
    def send_400_response(self, msg: str) -> None:
        """Answer an unparsable request, and close: where the next request begins is unknown."""
        if self.conn.our_state is h11.IDLE:
            # uvicorn calls this from its `except` block, and passes a fixed text instead of the error.
            error = sys.exc_info()[1]
            status, detail = 400, f"the request is not valid HTTP: {error}"
            if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
                status = 431
                detail = too_long(self.config.h11_max_incomplete_event_size or MAX_HEAD_BYTES)
            request_id = new_id()
            headers = {"Connection": "close", HEADER: request_id}
            problem = answer(status, detail, headers=headers, more={"requestId": request_id})
            for event in (
                h11.Response(status_code=status, headers=problem.raw_headers),
                h11.Data(data=bytes(problem.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        # In any other state, a response to an earlier part of the request has begun or is being prepared:
        # its client would take the problem for a part of it.
        self.transport.close()
