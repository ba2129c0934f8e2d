"""What dashboards ask: lists in their usual proportions."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args
from urllib.parse import quote, urlencode

from typing_extensions import override

from nightcrawler_crds.clock import utcnow
from tests.bench.catalogue import EXECUTORS, WORDS

Kind = Literal["page", "search", "deep", "cursor"]
Answered = Literal["page", "search", "deep", "cursor", "not modified"]
KINDS: Final[tuple[Answered, ...]] = ("page", "search", "not modified")
"""What `Visitor` asks."""
HISTORY_KINDS: Final[tuple[Answered, ...]] = get_args(Answered)
"""What `HistoryVisitor` asks."""

PAGE: Final = 50
"""Entries on a page."""
_PATH: Final = "/api/workflows"
_AGAIN: Final = 0.4
"""The share of questions that are the last one again, to see whether anything has changed."""
_SHARES: Final[Mapping[str, int]] = {
    "first": 25,
    "deep": 10,
    "status": 10,
    "priority": 10,
    "both": 5,
    "runs": 20,
    "runs of a status": 10,
    "search": 20,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; `again`: with the tag of the last answer to the same, if there was one."""

    path: str
    kind: Kind = "page"
    again: bool = False


class Visitor:
    """A person with a dashboard: looks at something, looks again for a while, goes on."""

    def saw(self, body: bytes) -> None:
        """Take notice of the answer to the last question."""

    def __init__(self, seed: str, runs: Sequence[int]) -> None:
        """`runs` counts those of each workflow, by its number."""
        self._chance = random.Random(seed)
        self._runs = runs
        self._busy = [number for number, count in enumerate(runs) if count] or [0]
        self._last: Question | None = None

    def ask(self) -> Question:
        """The next question."""
        if self._last is not None and self._chance.random() < _AGAIN:
            return Question(self._last.path, self._last.kind, again=True)
        self._last = self._new()
        return self._last

    def _new(self) -> Question:
        chance = self._chance
        what = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
        match what:
            case "deep":
                pages = max(1, len(self._runs) // PAGE)
                return _workflows(page=chance.randint(1 + pages // 2, pages) if pages > 1 else 1)
            case "status":
                return _workflows(status=_status(chance))
            case "priority":
                return _workflows(priority=_priority(chance))
            case "both":
                return _workflows(status=_status(chance), priority=_priority(chance))
            case "search":
                return Question(_workflows(search=chance.choice(WORDS)).path, "search")
            case "runs":
                workflow = chance.choice(self._busy)
                return _executions(workflow, offset=chance.randrange(0, self._runs[workflow] or 1, 10))
            case "runs of a status":
                word = chance.choice(("completed", "failed", "running", "cancelled"))
                return _executions(chance.choice(self._busy), status=word)
            case _:
                return _workflows()


_HISTORY_SHARES: Final[Mapping[str, int]] = {
    "first": 15,
    "status": 15,
    "executor": 5,
    "day": 5,
    "runs": 20,
    "deep": 10,
    "cursor": 20,
    "search": 10,
}
_CURSOR: Final = re.compile(rb'"nextCursor":"([^"]+)"')


class HistoryVisitor(Visitor):
    """A person who looks through what has ended: newest first, filtered, page by page, from deep down."""

    def __init__(self, seed: str, runs: Sequence[int]) -> None:
        super().__init__(seed, runs)
        self._cursor = ""

    @override
    def saw(self, body: bytes) -> None:
        found = _CURSOR.search(body)
        self._cursor = found[1].decode() if found else ""

    @override
    def _new(self) -> Question:
        chance = self._chance
        what = chance.choices(list(_HISTORY_SHARES), list(_HISTORY_SHARES.values()))[0]
        match what:
            case "status":
                return _history(status=chance.choice(("completed", "failed", "cancelled")))
            case "executor":
                return _history(executor=chance.choice(EXECUTORS))
            case "day":
                since = utcnow() - timedelta(days=chance.randint(1, 28))
                return _history(**{"from": f"{since:%Y-%m-%d}"})
            case "runs":
                return _executions(chance.choice(self._busy))
            case "deep":
                return Question(_history(offset=chance.randrange(sum(self._runs))).path, "deep")
            case "cursor" if self._cursor:
                return Question(_history(cursor=self._cursor).path, "cursor")
            case "search":
                return Question(_workflows(search=chance.choice(WORDS)).path, "search")
            case _:
                return _history()


def answered(question: Question, status: int) -> Answered:
    """What a question turned out to be, by the status of its answer.

    Raises:
        RuntimeError: It was refused, and then no time means anything.
    """
    if status == 304 and question.again:
        return "not modified"
    if status != 200:
        raise RuntimeError(f"{question.path} was answered {status}")
    return question.kind


def _status(chance: random.Random) -> str:
    return chance.choice(("active", "inactive"))


def _priority(chance: random.Random) -> str:
    return chance.choice(("low", "medium", "high", "critical"))


def _workflows(**query: str | int) -> Question:
    return Question(f"{_PATH}?{urlencode({'pageSize': PAGE, **query}, quote_via=quote)}")


def _history(**query: str | int) -> Question:
    return Question(f"/api/executions?{urlencode({'limit': PAGE, **query})}")


def _executions(workflow: int, **query: str | int) -> Question:
    return Question(f"{_PATH}/wf-{workflow}/executions?{urlencode({'limit': PAGE, **query})}")
