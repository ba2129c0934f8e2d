"""Who is calling: found once a request, before anything is answered, remembered answers included.

Every method of a service is given the caller, reads too, so that what one may see cannot be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

CALLER: Final = "nightcrawler_api.caller"
"""Where in the scope of a request the caller is."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: `name` is for people, in the log and as creator or executor."""

    name: str

    @override
    def __str__(self) -> str:
        return self.name


class Identified:
    """Puts the caller into the scope of each request: the same one for all, while nobody has to sign in."""

    def __init__(self, app: ASGIApp, default_user: str) -> None:
        self._app = app
        self._caller = Caller(default_user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        scope[CALLER] = self._caller
        await self._app(scope, receive, send)
