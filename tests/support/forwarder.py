"""A TCP forwarder on loopback whose connections can be cut and held up, as bad networks and proxies do."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final, Self

_STARTS_WITHIN: Final = 10.0
_PART: Final = 1 << 16


class Forwarder:
    """Forwards to a port of this machine; in a thread of its own.

    Attributes:
        port: Where it listens.
        taken: How many connections it has taken so far.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.taken = 0
        self._target = target
        self._open: set[asyncio.WriteTransport] = set()
        self._away = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_STARTS_WITHIN), "the forwarder did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STARTS_WITHIN)

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return bool(self._open)

    def cut(self) -> None:
        """Break all connections, in the middle of what they carry."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(_STARTS_WITHIN)

    def away(self) -> None:
        """Break all connections, and every further one at once, until `back`."""
        self._away = True
        self.cut()

    def stall(self) -> None:
        """Take connections and what comes over them, and pass nothing on, until `back`."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def back(self) -> None:
        """Forward again, also what has been held up."""
        self._away = False
        self._loop.call_soon_threadsafe(self._flows.set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._forward, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(_end_all())
        self._loop.close()

    async def _cut(self) -> None:
        for transport in list(self._open):
            transport.abort()
        self._open.clear()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        if self._away:
            writer.transport.abort()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()  # nobody listens there
            return
        both = {writer.transport, inner_writer.transport}
        self._open |= both
        try:
            await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        finally:
            self._open -= both
            for transport in both:
                transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(_PART):
                await self._flows.wait()
                writer.write(part)
                await writer.drain()
            writer.write_eof()


async def _end_all() -> None:
    """Cancel what is left in this loop, and wait until it has ended."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
