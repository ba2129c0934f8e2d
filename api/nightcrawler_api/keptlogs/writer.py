"""Writes the log of one attempt into the store; see `record` for what is where."""

from __future__ import annotations

from typing import Final

import msgspec

from nightcrawler_api.keptlogs.objects import Objects
from nightcrawler_api.keptlogs.record import CHUNK_BYTES, Record, Where, gap
from nightcrawler_api.logs.place import Place

_ROLLS_A_RECORD: Final = 8
"""A record is written at the latest after so many chunks, so that little is read again after a death."""

_decoder = msgspec.json.Decoder(Record)


class Writer:
    """Takes lines, and stores them in chunks.

    Attributes:
        record: What is stored; as of the last `save`, and what has been added since.
    """

    def __init__(self, objects: Objects, where: Where, record: Record, limits: tuple[int, int]) -> None:
        self.record = record
        self._objects = objects
        self._where = where
        self._head, self._tail = limits
        self._chunk: bytearray | None = None
        self._stored = 0
        self._rolls = 0
        self._obsolete: list[str] = []
        if record.bytes == 0:
            record.head = record.tail = self._head

    async def add(self, line: bytes, place: Place, *, after_gap: bool) -> None:
        """Add a line, without its end, and the place after it."""
        if self._chunk is None:
            self._chunk = await self._last_chunk()
        if self._chunk and len(self._chunk) + len(line) >= CHUNK_BYTES:
            await self._roll(self._chunk)
        if after_gap:
            self.record.gaps += 1
            self._append(self._chunk, gap())
        self._append(self._chunk, line + b"\n")
        self._note(place)

    async def save(self) -> None:
        """Store what was added."""
        if self._chunk is not None:
            if len(self._chunk) != self._stored:
                await self._objects.put(self._where.chunk(self.record.last), bytes(self._chunk))
                self._stored = len(self._chunk)
            self.record.last_bytes = self._stored
        await self._objects.put(self._where.record, msgspec.json.encode(self.record))
        self._rolls = 0
        # Only now does no record count them any more.
        await self._objects.delete(self._obsolete)
        self._obsolete.clear()

    async def _last_chunk(self) -> bytearray:
        """What counts of the last chunk: a process that died before its record may have written more."""
        counted = self.record.last_bytes
        stored = await self._objects.get(self._where.chunk(self.record.last)) if counted else None
        chunk = bytearray((stored or b"")[:counted])
        self._stored = len(chunk)
        return chunk

    def _append(self, chunk: bytearray, data: bytes) -> None:
        chunk += data
        self.record.bytes += len(data)

    def _note(self, place: Place) -> None:
        record = self.record
        record.second, record.count, record.newest = place.second, place.count, place.newest

    async def _roll(self, chunk: bytearray) -> None:
        """Store a chunk that is full, and begin another."""
        record = self.record
        await self._objects.put(self._where.chunk(record.last), bytes(chunk))
        record.last += 1
        record.last_bytes = self._stored = 0
        chunk.clear()
        if record.last - record.tail >= self._tail and record.last > record.head:
            await self._cut()
        self._rolls += 1
        if self._rolls >= _ROLLS_A_RECORD:
            await self.save()

    async def _cut(self) -> None:
        """Leave out the first chunk after the head."""
        record = self.record
        path = self._where.chunk(record.tail)
        size = len(await self._objects.get(path) or b"")
        record.tail += 1
        record.cut += size
        record.bytes -= size
        self._obsolete.append(path)


async def read_record(objects: Objects, where: Where) -> Record | None:
    """The record of a log; None if nothing is kept of it."""
    content = await objects.get(where.record)
    if content is None:
        return None
    try:
        return _decoder.decode(content)
    except msgspec.DecodeError:
        return None  # the disk was full, or somebody has edited it: the log is read again
