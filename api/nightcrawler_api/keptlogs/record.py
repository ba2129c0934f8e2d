"""What is kept of the log of one attempt of a step, and where; pure.

A log is a sequence of chunks, objects of about 1 MiB with whole lines as the kubelet sends them, with their
timestamps; and a record, which says up to where they count. A chunk is written before the record that counts
it: a process that dies between the two leaves lines that do not count, and writes them again.

Of a log that is too long the first and the last chunks stay. Where lines are missing there is a mark, a line
that begins as no line of a kubelet does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from nightcrawler_api.logs.place import Place

CHUNK_BYTES: Final = 1 << 20
_MARK: Final = b"\x1e"
_STEP_DIGITS: Final = 16
RECORD: Final = "record.json"
GAP: Final = "lines may be missing here: the node keeps only the newest part of a long log"
UNFINISHED: Final = "the end of this log is missing: its Pod was gone before it was read"
ROTATED: Final = "the end of this log may be missing: its node had begun another file before it was read"

_OBJECT: Final = re.compile(r"[^/]+/[^/]+/[^/]+/[0-9a-f]{16}/\d{6,}/(?:record\.json|\d{8,}\.log)")


class Record(msgspec.Struct, rename="camel"):
    """What is kept of one attempt's log.

    Attributes:
        step: The name of the step.
        attempt: The number of the attempt.
        execution: The name of the execution.
        workflow: The name of its workflow.
        second: With `count` and `newest` the place up to which the log was read; see `place.Place`.
        head: How many chunks from the first on are kept.
        tail: The first chunk that is kept after those; those between are not there any more.
        last: The number of the last chunk.
        last_bytes: How many bytes of the last chunk count.
        bytes: How many bytes are kept.
        cut: How many bytes were removed between head and tail.
        gaps: At how many places lines are missing because the node did not have them any more.
        complete: Whether all that the container wrote, and the node still had, has been read.
        missing_end: Why the end is missing, or may be; empty if it was read, or may still be.
    """

    step: str
    attempt: int
    execution: str = ""
    workflow: str = ""
    second: int = 0
    count: int = 0
    newest: int = 0
    head: int = 0
    tail: int = 0
    last: int = 0
    last_bytes: int = 0
    bytes: int = 0
    cut: int = 0
    gaps: int = 0
    complete: bool = False
    missing_end: str = ""

    @property
    def place(self) -> Place:
        """Up to where the log was read."""
        return Place(self.attempt, self.second, self.count, self.newest)

    @property
    def written(self) -> int:
        """How many bytes were kept at some time, also those that were removed since."""
        return self.bytes + self.cut

    def chunks(self) -> Iterator[int | None]:
        """The numbers of the chunks that count, in order; None where some were removed."""
        yield from range(min(self.head, self.last + 1))
        if self.tail > self.head:
            yield None
        yield from range(max(self.tail, self.head), self.last + 1)


@dataclass(frozen=True, slots=True)
class Where:
    """Where the objects of an attempt's log are: a folder of the store."""

    cluster: str
    namespace: str
    execution_uid: str
    step: str
    attempt: int

    @property
    def run(self) -> str:
        """The folder of all logs of the execution."""
        return f"{self.cluster}/{self.namespace}/{self.execution_uid}"

    @property
    def folder(self) -> str:
        """The folder of this log; names of steps may have any character."""
        digest = hashlib.sha256(self.step.encode()).hexdigest()[:_STEP_DIGITS]
        return f"{self.run}/{digest}/{self.attempt:06}"

    @property
    def record(self) -> str:
        """The path of the record."""
        return f"{self.folder}/{RECORD}"

    def chunk(self, number: int) -> str:
        """The path of a chunk."""
        return f"{self.folder}/{number:08}.log"


def is_of_a_log(path: str) -> bool:
    """Whether a path is one of those that `Where` makes: a bucket may have other people's objects too."""
    return _OBJECT.fullmatch(path) is not None


def gap() -> bytes:
    """The mark of lines that the node did not have any more."""
    return _MARK + GAP.encode() + b"\n"


def cut_mark(removed: int) -> bytes:
    """The mark of what was removed from a long log."""
    text = f"{removed / (1 << 20):.0f} MiB are left out here: the log is too long to be kept"
    return _MARK + text.encode() + b"\n"


def mark_of(line: bytes) -> str | None:
    """The sentence of a mark; None if a line is none."""
    return line[1:].decode(errors="replace") if line.startswith(_MARK) else None


def limits(most_bytes: int) -> tuple[int, int]:
    """How many chunks of a log stay at its beginning, and at its end."""
    chunks = max(most_bytes // CHUNK_BYTES, 2)
    return chunks // 2, chunks - chunks // 2
