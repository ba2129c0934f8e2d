"""How the facade's process listens and sends."""

from __future__ import annotations

import asyncio
import socket

from typing_extensions import override

from nightcrawler_api.__main__ import _listen
from nightcrawler_api.protocol import Gathering
from nightcrawler_api.settings import Settings


def test_answers_do_not_wait_until_their_heads_are_acknowledged() -> None:
    with _listen(Settings(api_port=0)) as listening:
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Wire(asyncio.Transport):
    """The kernel's side of a connection: what was sent, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    @override
    def close(self) -> None:
        self.sent.append(b"closed")


async def test_what_is_written_in_one_turn_is_sent_in_one_piece() -> None:
    wire = Wire()
    transport = Gathering(wire, asyncio.get_running_loop())
    transport.write(b"head, ")
    transport.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    transport.write(b"more")
    await asyncio.sleep(0)
    assert wire.sent == [b"head, body", b"more"]


async def test_what_was_written_is_sent_before_the_connection_is_closed() -> None:
    wire = Wire()
    transport = Gathering(wire, asyncio.get_running_loop())
    transport.write(b"the last words")
    transport.close()
    await asyncio.sleep(0)
    assert wire.sent == [b"the last words", b"closed"]
