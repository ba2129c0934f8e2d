"""The server's end: connections that clients keep are closed by an answer, not between two requests.

uvicorn closes idle connections as soon as it gets SIGTERM. A client that sends its next request at that
moment gets no answer, and cannot know whether its request was worked on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from typing_extensions import override

_BETWEEN_LOOKS: Final = 0.1


class DrainingServer(uvicorn.Server):
    """A server that waits for its clients before it ends.

    Args:
        config: As for `uvicorn.Server`.
        drain: For how many seconds connections are kept for their next request, whose answer closes them.
        end_streams: Called first: responses that go on would keep their connections for as long as they may.
    """

    def __init__(
        self, config: uvicorn.Config, drain: float, end_streams: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain
        self._end_streams = end_streams

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does."""
        self._end_streams()
        await self._drain()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        state = self.server_state
        # RFC 9112, section 9.6: the client reads it and opens another connection, to another replica.
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_seconds
        # A second Ctrl-C (`force_exit`) is from somebody who does not want to wait.
        while state.connections and loop.time() < until and not self.force_exit:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(_BETWEEN_LOOKS)
