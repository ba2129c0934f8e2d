"""Settings of the interpreter."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from pathlib import Path
from typing import Any, Final

import pytest

from nightcrawler_crds import runtime
from tests.support.receivers import Certificates

SENT: Final = bytes(range(256)) * 4096


async def test_a_tls_connection_has_a_small_buffer_and_reads_what_is_larger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SENT)
        writer.close()
        await writer.wait_closed()

    monkeypatch.setattr(SSLProtocol, "max_size", SSLProtocol.max_size)  # restored afterwards
    runtime.keep_tls_buffers_small()
    known = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(known.authority))
    async with await asyncio.start_server(send, "127.0.0.1", 0, ssl=known.context) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        transport: Any = writer.transport
        assert len(transport._ssl_protocol.get_buffer(-1)) == 64 << 10
        assert await reader.read() == SENT
        writer.close()
        await writer.wait_closed()
