"""Whether the beginning of a log is missing when it is read for the first time.

The kubelet serves only the newest file of a log, and does not say that there were others. Where a program
writes so fast that it may have filled a file before the first line that is there, lines may be missing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from nightcrawler_api.logs.place import stamp_of

_MUCH_BYTES: Final = 5 << 20
"""Half the kubelet's default size of a file, for a program may have written faster before."""
_ENOUGH_BYTES: Final = 256 << 10
"""A program that writes less at once says nothing about how fast it writes."""
_NANO: Final = 10**9


async def with_beginning(
    parts: AsyncIterator[list[bytes]], began: datetime | None
) -> AsyncGenerator[tuple[list[bytes], bool], None]:
    """Parts of a log, and whether lines before each may be missing.

    `began` is when its container started, to the second; None if it is not known, or this is not the first
    reading.
    """
    held: list[bytes] = []
    size = 0
    holds = began is not None
    async for lines in parts:
        if not holds:
            yield lines, False
            continue
        held += lines
        size += sum(map(len, lines))
        if size >= _ENOUGH_BYTES:
            holds = False
            yield held, began is not None and begins_late(held, size, began)
    if holds and held:
        yield held, False


def begins_late(lines: Sequence[bytes], size: int, began: datetime) -> bool:
    """Whether, at the rate of these lines, so many may have come before that a file was full."""
    first, last = stamp_of(lines[0]), stamp_of(lines[-1])
    if first is None or last is None:
        return False
    # The start is cut off to the second. If it was later, less has been written, and a mark may be in vain;
    # without it lines would be missing and nothing would show it.
    before = first - int(began.timestamp()) * _NANO
    return before > 0 and size * before >= _MUCH_BYTES * max(last - first, 1)
