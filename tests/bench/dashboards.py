"""Dashboards that look at lists, as a process of its own: `python -m tests.bench.dashboards`.

Reads a `Visit` as JSON and writes `Looks` as JSON. Times are those from asking to having the last byte of the
answer, with what this process itself takes in between; what that is in CPU time is among the figures.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from tests.bench.line import Line
from tests.bench.questions import Answered, HistoryVisitor, Visitor, answered


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: so many clients for so many seconds, each once a second, or as fast as it can.

    `runs` counts the runs of each workflow, by its number; `history` says that they look through what ended.
    `tokens` are those of the clients, one after another and again from the beginning; without any, none is
    sent.
    """

    url: str
    clients: int
    seconds: float
    as_fast: bool
    runs: list[int]
    history: bool = False
    tokens: list[str] = []


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """How it was: seconds that each answer took, by what it turned out to be, and how many a second came."""

    answers: dict[str, list[float]]
    rate: float
    cpu_seconds: float
    bytes: int

    def of(self, what: Answered) -> list[float]:
        """The times of one kind of answer."""
        return self.answers.get(what, [])

    @property
    def count(self) -> int:
        """How many answers there were."""
        return sum(map(len, self.answers.values()))


async def visit(
    url: str,
    *,
    clients: int,
    seconds: float,
    as_fast: bool,
    runs: list[int],
    history: bool = False,
    tokens: Sequence[str] = (),
) -> Looks:
    """Let dashboards look, in a process of their own.

    Raises:
        RuntimeError: Something was refused, or the facade hung up.
    """
    asked = Visit(
        url=url,
        clients=clients,
        seconds=seconds,
        as_fast=as_fast,
        runs=runs,
        history=history,
        tokens=list(tokens),
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=pipe, stdout=pipe, stderr=pipe
    )
    printed, complaints = await process.communicate(msgspec.json.encode(asked))
    if process.returncode:
        raise RuntimeError(f"the dashboards failed: {complaints.decode().strip().splitlines()[-1]}")
    return msgspec.json.decode(printed, type=Looks)


class _Clients:
    """All clients, and the responses to them."""

    def __init__(self, asked: Visit) -> None:
        self._asked = asked
        self._answers: defaultdict[str, list[float]] = defaultdict(list)
        self._bytes = 0

    async def run(self) -> Looks:
        """Let all clients send requests until the time is over."""
        lines = [await Line.open(self._asked.url) for _ in range(self._asked.clients)]
        cpu, began = time.process_time(), time.perf_counter()
        end = began + self._asked.seconds
        look = self._look_fast if self._asked.as_fast else self._look_each_second
        async with asyncio.TaskGroup() as tasks:
            for number, line in enumerate(lines):
                tasks.create_task(look(number, line, end))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        for line in lines:
            line.close()
        count = sum(map(len, self._answers.values()))
        return Looks(answers=dict(self._answers), rate=count / took, cpu_seconds=cpu, bytes=self._bytes)

    async def _look_fast(self, number: int, line: Line, end: float) -> None:
        visitor, tags, token = self._visitor(number), dict[str, bytes](), self._token(number)
        while time.perf_counter() < end:
            await self._ask(visitor, line, tags, token)

    async def _look_each_second(self, number: int, line: Line, end: float) -> None:
        visitor, tags, chance = self._visitor(number), dict[str, bytes](), random.Random(number)
        token = self._token(number)
        second = time.perf_counter()
        while second < end:
            # At any moment of its second, so that clients meet now and then, as they do in life.
            await asyncio.sleep(second + chance.random() - time.perf_counter())
            await self._ask(visitor, line, tags, token)
            second += 1

    def _visitor(self, number: int) -> Visitor:
        kind = HistoryVisitor if self._asked.history else Visitor
        return kind(f"visitor {number} {self._asked.as_fast}", self._asked.runs)

    def _token(self, number: int) -> str:
        tokens = self._asked.tokens
        return tokens[number % len(tokens)] if tokens else ""

    async def _ask(self, visitor: Visitor, line: Line, tags: dict[str, bytes], token: str) -> None:
        question = visitor.ask()
        tag = tags.get(question.path, b"") if question.again else b""
        began = time.perf_counter()
        answer = await line.ask(question.path, tag, token)
        self._answers[answered(question, answer.status)].append(time.perf_counter() - began)
        visitor.saw(answer.body)
        self._bytes += len(answer.body)
        tags[question.path] = answer.etag


def main() -> None:
    """The process."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Visit)
    # Its pauses would be counted as the facade's.
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_Clients(asked).run())))


if __name__ == "__main__":
    main()
