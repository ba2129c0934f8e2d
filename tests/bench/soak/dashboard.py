"""A light load on the facade: what an open dashboard asks for, a few times a second."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


@dataclass
class Dashboard:
    """What was asked, and what came back.

    Attributes:
        url: Where the facade answers.
        workflows: Names to ask about.
        recent: Runs that began lately, each with its workflow; the bench adds to it.
        answers: How many of which status; `no answer` counts those that broke.
        waits: Seconds of those since this was last emptied.
        wrong: Sentences on the first answers that should not be.
    """

    url: str
    workflows: Sequence[str]
    recent: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=50))
    answers: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    wrong: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    async def look(self, a_second: float) -> None:
        """Ask one thing after the other, so many a second, until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            for number in itertools.count():
                path = self._path(number)
                due = time.monotonic() + 1 / a_second
                await self._ask(session, path)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    def take_waits(self) -> list[float]:
        """The waits since this was last asked."""
        taken, self.waits = self.waits, []
        return taken

    def _path(self, number: int) -> str:
        workflow = self.workflows[number % len(self.workflows)]
        if number % 5 == 4 and self.recent:
            of, run = self.recent[0]
            return f"/api/workflows/{of}/executions/{run}?logs=false"
        return (
            "/api/workflows?pageSize=50",
            "/api/workflows?status=active&search=dag",
            f"/api/workflows/{workflow}",
            f"/api/workflows/{workflow}/executions?limit=20",
            "/readyz",
        )[number % 5]

    async def _ask(self, session: aiohttp.ClientSession, path: str) -> None:
        began = time.monotonic()
        try:
            async with session.get(self.url + path) as answer:
                await answer.read()
                status = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            status = "no answer"
            self.wrong.append(f"{path}: {type(error).__name__}: {error}")
        self.answers[status] += 1
        self.waits.append(time.monotonic() - began)
        # A run of long ago may be gone: histories are short.
        if status not in ("200", "404", "no answer"):
            self.wrong.append(f"{path}: {status}")
