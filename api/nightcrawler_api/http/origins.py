"""Protection against cross-site requests, and against ambiguous ones.

Without authentication, listening on loopback keeps other machines out, but not web pages in the user's
browser: they can send requests to loopback too. Browsers send the page's origin with every change;
origins that are not allowed are refused.

A page can also let its own host name resolve to loopback (DNS rebinding), so that the browser takes it
for the same origin. The Host header still has that name. While the facade listens on loopback only, it
refuses all other host names, for reads too. Otherwise it cannot know its host names, and the proxy in
front has to check them.

HTTP/1.0 has no Host header, and some load balancers and monitors still use it; no browser does. HTTP/1.1
requires exactly one (RFC 9112, section 3.2), or proxy and server could route a request differently. For
the same reason it must not have two lengths (section 6.1).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nightcrawler_api.errors import answer
from nightcrawler_api.settings import is_loopback

_HARMLESS = ("GET", "HEAD", "OPTIONS")
_TWO_LENGTHS = "the request has both Content-Length and Transfer-Encoding; send one of them"


class SameOrigin:
    """Refuses changes from pages of other origins and, on loopback, requests to other hosts."""

    def __init__(self, app: ASGIApp, allowed: Collection[str], *, only_loopback: bool) -> None:
        self._app = app
        self._allowed = allowed
        self._only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if ambiguous := _wrong_hosts(scope["http_version"], headers.getlist("host")):
                app = answer(400, ambiguous)
            elif "content-length" in headers and "transfer-encoding" in headers:
                app = answer(400, _TWO_LENGTHS, headers={"Connection": "close"})
            elif why := self._why_not(scope["method"], headers):
                app = answer(403, why)
        await app(scope, receive, send)

    def _why_not(self, method: str, headers: Headers) -> str:
        """Why a request is refused; empty if it is not."""
        named, origin = headers.get("host"), headers.get("origin")
        host = named or ""
        if self._only_loopback and named is not None and not _is_loopback(host):
            return (
                f"this listens on loopback only and answers to localhost and 127.0.0.1, not to {host!r}; "
                "the administrator can let it listen elsewhere with NIGHTCRAWLER_API_HOST"
            )
        if method not in _HARMLESS and origin and not self._may(origin, host):
            return (
                f"pages of {origin} may not change anything here; "
                "the administrator can allow them with NIGHTCRAWLER_CORS_ORIGINS"
            )
        return ""

    def _may(self, origin: str, host: str) -> bool:
        if "*" in self._allowed or origin in self._allowed:
            return True
        try:
            return bool(host) and urlsplit(origin).netloc == host
        except ValueError:
            return False  # not a valid origin: `http://[`


def _wrong_hosts(version: str, hosts: Sequence[str]) -> str:
    """What is wrong with the number of Host headers; empty if it is right."""
    if len(hosts) > 1:
        return f"the request names {len(hosts)} hosts; send one Host header"
    if not hosts and version != "1.0":
        return "the request names no host; send a Host header, as HTTP/1.1 asks for"
    return ""


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return is_loopback(_name_of(host))


def _name_of(host: str) -> str:
    """The name in a Host header, without the port; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
