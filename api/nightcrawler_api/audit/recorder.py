"""Takes records: each becomes a line of the log at once, and a row later, if there is an archive.

The line is the record that counts. What keeps the row from being written delays nobody; rows wait in memory,
and the oldest of too many are given up, which is counted and said.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from typing import Final

import msgspec
from typing_extensions import override

from nightcrawler_api.audit.contract import Records
from nightcrawler_api.audit.record import Record, wire
from nightcrawler_api.errors import HistoryUnavailable

log = logging.getLogger(__name__)

LINES: Final = "nightcrawler_api.audit.lines"
"""The logger of the lines, which go to standard output, whatever the format of the log."""

_MOST_WAITING: Final = 10_000
_BATCH: Final = 200
_BACKOFF_FIRST: Final = 0.5
_BACKOFF_MOST: Final = 15.0
_CLOSE_SECONDS: Final = 3.0


class LineFormatter(logging.Formatter):
    """One JSON object a line: the record."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def open_lines() -> None:
    """Have the lines written, from now on; once in a process."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter())
    lines = logging.getLogger(LINES)
    lines.handlers = [handler]
    lines.setLevel(logging.INFO)
    lines.propagate = False


def write_line(record: Record) -> None:
    """Write the line of a record."""
    logging.getLogger(LINES).info("%s", line_of(record))


def line_of(record: Record) -> str:
    """A record as a line; `logger` distinguishes it from lines of the log."""
    return msgspec.json.encode({"logger": "nightcrawler_api.audit", **wire(record)}).decode()


class Recorder:
    """Takes the records of one process.

    Attributes:
        records: Where rows are kept; None if there is no archive.
        lost: How many rows were given up.
        written: How many were written.
    """

    def __init__(self, records: Records | None) -> None:
        self.records = records
        self.lost = 0
        self.written = 0
        self._waiting: deque[Record] = deque()
        self._news = asyncio.Event()
        self._problem = ""

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, record: Record) -> None:
        """Write a record's line, and have its row written."""
        write_line(record)
        if self.records is None:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(record)
        self._news.set()

    async def run(self) -> None:
        """Write rows until cancelled."""
        if self.records is None:
            return
        backoff = _BACKOFF_FIRST
        while True:
            self._news.clear()
            try:
                await self._write(self.records)
            except HistoryUnavailable as error:
                self._report(str(error))
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _BACKOFF_MOST)
            else:
                self._report("")
                backoff = _BACKOFF_FIRST
                await self._news.wait()

    async def close(self) -> None:
        """Write what waits, if that goes quickly; the lines have it in any case."""
        if self.records is None or not self._waiting:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._write(self.records)
        except (HistoryUnavailable, TimeoutError):
            log.warning("the audit rows of %d records are not written; the log has them", len(self._waiting))

    async def _write(self, records: Records) -> None:
        while self._waiting:
            batch = [record for record, _ in zip(self._waiting, range(_BATCH), strict=False)]
            refused = await records.add(batch)
            self.written += len(batch) - refused
            self.lost += refused
            for record in batch:
                # The oldest may have been given up meanwhile.
                if self._waiting and self._waiting[0] is record:
                    self._waiting.popleft()

    def _report(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("audit rows wait, and their lines are in the log: %s", problem)
        self._problem = problem
