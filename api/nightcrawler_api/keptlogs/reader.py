"""Reads kept logs: the last lines, all of them, or those after a place."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from nightcrawler_api.executions.loglines import parse_line
from nightcrawler_api.executions.schemas import LogLine
from nightcrawler_api.keptlogs.objects import Objects
from nightcrawler_api.keptlogs.record import Record, Where, cut_mark, mark_of
from nightcrawler_api.keptlogs.writer import read_record


class KeptLog:
    """What is kept of the log of one attempt.

    Attributes:
        record: What is kept.
    """

    def __init__(self, objects: Objects, where: Where, record: Record) -> None:
        self.record = record
        self._objects = objects
        self._where = where

    async def last_lines(self, most_lines: int, most_bytes: int) -> tuple[list[LogLine], bool]:
        """The last lines, as the API shows them, and whether no line was too much for `most_bytes`."""
        parts: list[bytes] = []
        size = lines = 0
        for number in reversed(list(self.record.chunks())):
            part = cut_mark(self.record.cut) if number is None else await self._chunk(number)
            parts.append(part)
            size += len(part)
            lines += part.count(b"\n")
            if lines >= most_lines or size >= most_bytes:
                break
        found = [line for line in b"".join(reversed(parts)).split(b"\n") if line][-most_lines:]
        kept: list[bytes] = []
        room = most_bytes
        for line in reversed(found):
            room -= len(line) + 1
            if room < 0:
                break
            kept.append(line)
        return [shown(line) for line in reversed(kept)], len(kept) == len(found)

    async def lines(self) -> AsyncGenerator[list[bytes], None]:
        """All lines with their timestamps, and marks, in parts."""
        for number in self.record.chunks():
            part = cut_mark(self.record.cut) if number is None else await self._chunk(number)
            yield [line for line in part.split(b"\n") if line]

    async def _chunk(self, number: int) -> bytes:
        content = await self._objects.get(self._where.chunk(number)) or b""
        # The last one may have lines that do not count yet.
        return content[: self.record.last_bytes] if number == self.record.last else content


async def find(objects: Objects, where: Where) -> KeptLog | None:
    """What is kept of a log; None if nothing is."""
    record = await read_record(objects, where)
    return None if record is None else KeptLog(objects, where, record)


def shown(line: bytes) -> LogLine:
    """A line, or a mark, as the API shows it."""
    mark = mark_of(line)
    if mark is None:
        return parse_line(line.decode(errors="replace"))
    return {"timestamp": "00:00:00", "level": "warning", "message": mark}
