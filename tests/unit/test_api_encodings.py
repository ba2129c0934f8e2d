"""Compressed bodies: unpacked piece by piece, and never beyond the limit."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.http.encodings import Broken, TooLarge, UnknownEncoding, unpacker

LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    " GZIP ": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}


def unpacked(coding: str, pieces: Iterable[bytes], limit: int = LIMIT) -> bytes:
    unpack = unpacker(coding, limit)
    got = b"".join([unpack.take(piece) for piece in pieces])
    unpack.end()
    return got


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("coding", WAYS)
@given(data=st.binary(max_size=3000), size=st.integers(1, 50))
def test_a_compressed_body_is_restored_however_it_is_chunked(coding: str, data: bytes, size: int) -> None:
    assert unpacked(coding, in_pieces(WAYS[coding](data), size)) == data


@pytest.mark.parametrize("coding", WAYS)
def test_a_body_at_the_limit_is_accepted_and_one_byte_more_is_not(coding: str) -> None:
    for size in (64, LIMIT):
        fits, over = WAYS[coding](bytes(1000)), WAYS[coding](bytes(1001))
        assert unpacked(coding, in_pieces(fits, size), 1000) == bytes(1000)
        with pytest.raises(TooLarge):
            unpacked(coding, in_pieces(over, size), 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_decompression_bomb_takes_little_more_memory_than_the_limit(coding: str) -> None:
    bomb = WAYS[coding](bytes(256 << 20))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpacked(coding, [bomb])
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_gzip_members_may_follow_one_another_up_to_a_hundred(size: int) -> None:
    two = gzip.compress(b"one, ", mtime=0) + gzip.compress(b"two", mtime=0)
    assert unpacked("gzip", in_pieces(two, size)) == b"one, two"
    assert unpacked("gzip", in_pieces(gzip.compress(b"x", mtime=0) * 100, size)) == b"x" * 100
    with pytest.raises(Broken, match="more than 100 gzip members"):
        unpacked("gzip", in_pieces(gzip.compress(b"", mtime=0) * 101, size))


def test_any_number_of_empty_members_is_refused_at_once() -> None:
    began = time.process_time()
    with pytest.raises(Broken):
        unpacked("gzip", [gzip.compress(b"", mtime=0) * (LIMIT // 20)])
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b'{"name": "x"}'),
        ("gzip", zlib.compress(b"{}")),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-1]),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-8] + b"\x00" * 8),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"x"),
        ("deflate", b'{"name": "x"}'),
        ("deflate", zlib.compress(b"{}")[:-1]),
        ("deflate", zlib.compress(b"{}") + b"x"),
        ("deflate", b"x"),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_body_that_is_not_in_its_declared_encoding_is_broken(coding: str, body: bytes, size: int) -> None:
    with pytest.raises(Broken) as caught:
        unpacked(coding, in_pieces(body, size))
    assert str(caught.value)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip;q=1", "*"])
def test_other_encodings_are_refused_with_the_accepted_ones(coding: str) -> None:
    with pytest.raises(UnknownEncoding, match="send it as gzip or deflate, once, or as it is"):
        unpacker(coding, LIMIT)


@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=300))
def test_any_bytes_are_decompressed_or_refused(coding: str, body: bytes) -> None:
    with suppress(Broken, TooLarge):
        assert len(unpacked(coding, [body], 1000)) <= 1000
