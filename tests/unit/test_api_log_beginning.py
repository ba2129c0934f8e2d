"""Whether the beginning of a log is missing: what a program writes at once says how much it wrote before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from nightcrawler_api.logs.beginning import with_beginning

BEGAN: Final = datetime(2025, 7, 10, 14, 0, tzinfo=UTC)
MB: Final = 1_000_000
LINE_BYTES: Final = 128


def written(after: float, rate: float, size: float = MB) -> list[bytes]:
    """Lines of that size together, the first so many seconds after the start, at so many bytes a second."""
    lines = []
    for number in range(int(size) // LINE_BYTES):
        at = BEGAN + timedelta(seconds=after + number * LINE_BYTES / rate)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z ".encode().ljust(LINE_BYTES, b"x"))
    return lines


async def marks(lines: list[bytes], began: datetime | None = BEGAN) -> list[bool]:
    """For each part of the lines, whether lines before it may be missing."""

    async def parts() -> AsyncIterator[list[bytes]]:
        for begin in range(0, len(lines), 500):
            yield lines[begin : begin + 500]

    found = [(some, late) async for some, late in with_beginning(parts(), began)]
    assert [line for some, _ in found for line in some] == lines
    return [late for _, late in found]


@pytest.mark.parametrize(
    ("after", "rate", "may_be_missing"),
    [
        (0.0, 50 * MB, False),
        (0.7, 15 * MB, True),  # what a flood wrote that filled a file within its first second
        (2.0, 1 * MB, False),
        (9.0, 1 * MB, True),
        (3600.0, 1_000.0, False),
    ],
)
async def test_a_log_may_begin_late_if_a_file_can_have_been_filled_before(
    after: float, rate: float, may_be_missing: bool
) -> None:
    first, *others = await marks(written(after, rate))
    assert (first, any(others)) == (may_be_missing, False)


async def test_a_few_lines_say_nothing_about_how_fast_a_program_writes() -> None:
    assert await marks(written(9.0, 50 * MB, size=MB / 10)) == [False]


async def test_a_log_that_is_read_on_does_not_begin() -> None:
    assert not any(await marks(written(9.0, 50 * MB), began=None))
