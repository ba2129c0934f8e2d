"""Settings of the Python interpreter for both processes."""

from __future__ import annotations

import gc
import sys
from asyncio.sslproto import SSLProtocol
from typing import Final

_JSON_DEPTH: Final = 10_000
"""The nesting of JSON that the API server accepts (the limit of Go's decoder)."""
_TLS_BUFFER: Final = 64 << 10
_GC_THRESHOLDS: Final = (10_000, 50, 5_000)


def read_deep_json() -> None:
    """Allow JSON to be nested as deeply as the API server accepts it.

    Python's decoders stop at the recursion limit, 1,000, so one object with a parameter nested
    deeper would break every list and watch that contains it. The stack has room for little more
    than this depth: bound JSON from other sources before decoding it.
    """
    sys.setrecursionlimit(4 * _JSON_DEPTH)


def keep_tls_buffers_small() -> None:
    """Let asyncio read each TLS connection into a buffer of 64 KiB, where it takes 256 KiB by itself.

    It makes the buffer with the connection and keeps it as long, and so does OpenSSL with one for as much as
    was read at once. The watches of both processes take 15 connections, and many writes at once 18 more.
    """
    SSLProtocol.max_size = _TLS_BUFFER


def collect_seldom() -> None:
    """Let more young objects wait for a collection: 50,000 of them are 10 MB.

    Full collections walk the caches, which hold no garbage: 200 to 480 ms with 22,000 objects.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
