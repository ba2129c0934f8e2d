"""Answers to lists are given again while nothing has changed that they show.

Dashboards ask the same questions again and again. FastAPI takes many times longer to find the route
and to read the query than it takes to give an answer that is there, so this comes before it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from nightcrawler_api.caller import CALLER, Caller
from nightcrawler_api.editions import Edition
from nightcrawler_api.responses import ANSWER, Tagged

_MOST_BYTES: Final = 4 << 20
_LONGEST_QUERY: Final = 512
_OVERHEAD: Final = 1_000
"""What an answer takes besides its body, about."""

Key = tuple[Caller, str, bytes]
"""Who asks, for what path and with which query: nobody is given an answer that was made for another."""


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Tagged
    edition: Edition
    route: Any

    @property
    def size(self) -> int:
        return len(self.answer.body) + _OVERHEAD


class Remembered:
    """Keeps the last answers that can be given again, up to so many bytes."""

    def __init__(self, app: ASGIApp, most_bytes: int = _MOST_BYTES) -> None:
        self._app = app
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        key = (scope[CALLER], scope["path"], scope["query_string"])
        kept = self._kept.get(key)
        if kept is not None and kept.edition.current:
            self._kept.move_to_end(key)
            scope["route"] = kept.route
            await kept.answer(scope, receive, send)
            return
        await self._app(scope, receive, send)
        answer = scope.get(ANSWER)
        if (
            isinstance(answer, Tagged)
            and answer.edition is not None
            and len(scope["query_string"]) <= _LONGEST_QUERY
        ):
            self._keep(key, _Kept(answer, answer.edition, scope.get("route")))

    def _keep(self, key: Key, new: _Kept) -> None:
        old = self._kept.pop(key, None)
        self._bytes += new.size - (old.size if old else 0)
        self._kept[key] = new
        while self._bytes > self._most:
            self._bytes -= self._kept.popitem(last=False)[1].size
