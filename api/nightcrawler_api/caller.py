"""The caller of a request, identified once, in front of the application.

Every service method takes the caller, also for reads, so that no authorization check can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

CALLER: Final = "nightcrawler_api.caller"
"""The key of the caller in a request's ASGI scope."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request; `name` appears in the log and as creator or executor."""

    name: str
    roles: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """Issuer and subject, which no other caller has; empty without identity."""
        return ""

    @property
    def key(self) -> str:
        """What tells this caller from all others."""
        return self.id or self.name

    @override
    def __str__(self) -> str:
        return self.name


class Identified:
    """Puts the caller into the scope of each request: the default user, as there is no authentication."""

    def __init__(self, app: ASGIApp, default_user: str) -> None:
        self._app = app
        self._caller = Caller(default_user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        scope[CALLER] = self._caller
        await self._app(scope, receive, send)
