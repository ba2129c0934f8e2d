"""Compressed request bodies, decompressed as they arrive, up to a limit.

A few kilobytes can decompress to gigabytes, so the limit holds for the output, and no more is produced.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from typing_extensions import override

TAKEN: Final = ("gzip", "deflate")
_GZIP: Final = 16 + zlib.MAX_WBITS
_MOST_MEMBERS: Final = 100


class UnknownEncoding(Exception):
    """The Content-Encoding is not supported; the text says which are."""


class Broken(Exception):
    """The body does not match its Content-Encoding."""


class TooLarge(Exception):
    """The decompressed body exceeds the limit."""


class Unpacker(Protocol):
    """Decompresses the chunks of a body as they arrive."""

    def take(self, chunk: bytes) -> bytes:
        """Decompress the next chunk; raises `Broken` or `TooLarge`."""
        ...

    def end(self) -> None:
        """End of the body; raises `Broken` if it is incomplete."""
        ...


def unpacker(content_encoding: str, limit: int) -> Unpacker:
    """An unpacker for this Content-Encoding, up to `limit` bytes of output.

    Raises:
        UnknownEncoding: It is not supported, or there are several.
    """
    coding = content_encoding.strip().lower()
    if coding in ("", "identity"):
        return _AsItIs(limit)
    if coding in ("gzip", "x-gzip"):  # one and the same (RFC 9110, section 8.4.1.3)
        return _Gzip(limit)
    if coding == "deflate":
        return _Deflate(limit)
    raise UnknownEncoding(
        f"the body is sent with Content-Encoding {content_encoding.strip()!r}; "
        f"send it as {' or '.join(TAKEN)}, once, or as it is"
    )


class _AsItIs:
    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise TooLarge
        return chunk

    def end(self) -> None:
        """Any body is complete."""


class _Compressed:
    """The common part of gzip and deflate."""

    name = ""

    def __init__(self, limit: int, window_bits: int) -> None:
        self._left = limit
        self._bits = window_bits
        self._stream = zlib.decompressobj(window_bits)

    def take(self, chunk: bytes) -> bytes:
        pieces = []
        while chunk:
            piece = self._inflate(chunk)
            self._left -= len(piece)
            if self._left < 0:
                raise TooLarge
            pieces.append(piece)
            chunk = self._behind() if self._stream.eof else b""
        return b"".join(pieces)

    def end(self) -> None:
        if not self._stream.eof:
            raise Broken(f"its end is missing, or it is not {self.name}")

    def _inflate(self, chunk: bytes) -> bytes:
        try:
            # One byte more than allowed shows that the limit is exceeded. Below it, zlib keeps nothing back
            # (unconsumed_tail).
            return self._stream.decompress(chunk, self._left + 1)
        except zlib.error as error:
            raise Broken(f"it is not {self.name}: {str(error).rpartition(': ')[2]}") from error

    def _behind(self) -> bytes:
        """The data after the end of the stream."""
        if self._stream.unused_data:
            raise Broken(f"something follows the end of the {self.name} data")
        return b""


class _Gzip(_Compressed):
    name = "gzip"

    def __init__(self, limit: int) -> None:
        super().__init__(limit, _GZIP)
        self._members = 1

    @override
    def take(self, chunk: bytes) -> bytes:
        # A chunk may end where a member ends, so that the next chunk starts another.
        if chunk and self._stream.eof:
            self._begin_another()
        return super().take(chunk)

    @override
    def _behind(self) -> bytes:
        # Members may follow one another (RFC 1952, section 2.2). Many empty ones would only cost time.
        rest = self._stream.unused_data
        if rest:
            self._begin_another()
        return rest

    def _begin_another(self) -> None:
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise Broken(f"it consists of more than {_MOST_MEMBERS} gzip members")
        self._stream = zlib.decompressobj(_GZIP)


class _Deflate(_Compressed):
    """The zlib format, and raw deflate, which many clients send by this name (RFC 9110, 8.4.1.2)."""

    name = "deflate"

    def __init__(self, limit: int) -> None:
        super().__init__(limit, zlib.MAX_WBITS)
        self._first = b""
        self._begun = False

    @override
    def take(self, chunk: bytes) -> bytes:
        if self._begun:
            if self._stream.eof and chunk:
                raise Broken(f"something follows the end of the {self.name} data")
            return super().take(chunk)
        self._first += chunk
        if len(self._first) < 2:
            return b""
        self._begun = True
        # The two bytes of a zlib header are a multiple of 31, and their low half byte is 8.
        if self._first[0] & 0x0F != 8 or int.from_bytes(self._first[:2], "big") % 31:
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        return super().take(self._first)
