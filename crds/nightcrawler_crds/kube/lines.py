"""The lines of a response that may go on, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

import aiohttp

_MAX_LINE: Final = 1 << 20


async def lines_of(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The complete lines of a response that has only such, as they arrive."""
    # Not `async for line in response.content`, which refuses lines longer than its buffer:
    # an object may be 1.5 MB.
    rest = b""
    async for chunk in response.content.iter_any():
        data = rest + chunk if rest else chunk
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        for line in data[:end].splitlines():
            if line:
                yield line


async def bounded_lines(
    response: aiohttp.ClientResponse, *, unfinished: bool = True
) -> AsyncGenerator[list[bytes], None]:
    """The complete lines of each part of a response, cut; at the end what is left, if `unfinished`."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        first, *others = chunk.split(b"\n")
        rest += first[: _MAX_LINE - len(rest)]
        if others:
            yield [bytes(rest), *(line[:_MAX_LINE] for line in others[:-1])]
            rest = bytearray(others[-1][:_MAX_LINE])
    if rest and unfinished:
        yield [bytes(rest)]


async def last_bytes(response: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """The last bytes of a response, and whether that is all of it, without keeping much more in memory."""
    chunks: deque[bytes] = deque()
    size, whole = 0, True
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        while size - len(chunks[0]) >= most:
            size -= len(chunks.popleft())
            whole = False
    kept = b"".join(chunks)
    return kept[-most:], whole and size <= most
