"""The callers of requests, found out once, in front of the application.

Nothing is answered, also nothing that is remembered, before it is known who asks: except for probes, metrics
and the documentation, which say nothing of anybody.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from nightcrawler_api.auth.teamsfile import Teams
from nightcrawler_api.caller import CALLER, Caller, unidentified
from nightcrawler_api.errors import IdentityUnavailable, Unauthenticated, refusal

_MISSING = "authentication is required: send a token of your identity provider as Authorization: Bearer TOKEN"


class Callers(Protocol):
    """Finds out who a token is of."""

    async def identify(self, token: str) -> Caller:
        """The caller; raises `Unauthenticated` or `IdentityUnavailable`."""
        ...


class Unidentified:
    """Puts the default user into the scope of every request, as there is no authentication."""

    def __init__(self, app: ASGIApp, default_user: str) -> None:
        self._app = app
        self._caller = unidentified(default_user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        scope[CALLER] = self._caller
        await self._app(scope, receive, send)


class Identified:
    """Puts the caller into the scope of each request, or refuses it. `open_paths` need no authentication."""

    def __init__(self, app: ASGIApp, callers: Callers, teams: Teams, open_paths: Collection[str]) -> None:
        self._app = app
        self._callers = callers
        self._teams = teams
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        app = self._app
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            try:
                caller = await self._callers.identify(_token(scope))
                scope[CALLER] = self._teams.placed(caller)
            except (Unauthenticated, IdentityUnavailable) as error:
                app = refusal(error)
        await app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or any(
            path.startswith(prefix) for prefix in self._open if prefix.endswith("/")
        )


def _token(scope: Scope) -> str:
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if not found:
        raise Unauthenticated(_MISSING)
    if len(found) > 1:
        raise Unauthenticated("the request has more than one Authorization; send one")
    token: str
    scheme, _, token = found[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(_MISSING)
    return token.strip()
