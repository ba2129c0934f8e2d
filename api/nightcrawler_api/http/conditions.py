"""Preconditions of requests (RFC 9110, section 13).

`If-Match` has the versions of a workflow that a change may be made to, and `If-None-Match` the responses that
a client has already (`etags`). All other preconditions are refused: a client that sends one relies on it,
and would take the answer for a sign that it was kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request

from nightcrawler_api.errors import Invalid

IF_MATCH: Final = "If-Match"

_ENTRY: Final = r'(?:(?:W/)?"[\x21\x23-\x7e]*"|[A-Za-z0-9._/-]+)'
PATTERN: Final = rf"^(\*|{_ENTRY}([ \t]*,[ \t]*{_ENTRY})*)$"
_WHOLE: Final = re.compile(PATTERN)
_ENTRIES: Final = re.compile(r'(?:W/)?"([^"]*)"|([A-Za-z0-9._/-]+)')
_HEADERS: Final = {
    name.lower(): name
    for name in (IF_MATCH, "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")
}
_OF_READS: Final = frozenset({"if-none-match", "if-modified-since"})
"""The second is ignored, as RFC 9110, section 13.1.3, demands where there is no Last-Modified."""
_OF_WRITES: Final = frozenset({"if-match"})
_NOT_HERE: Final = (
    "is not looked at here, so it is refused; it is taken by PUT, DELETE, pause and resume of a workflow"
)
_READS: Final = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions that a change may be made to; None if any will do that exists."""

    versions: frozenset[str] | None

    def allows(self, version: str) -> bool:
        """Whether a change may be made to this version."""
        return self.versions is None or version in self.versions


def if_match_of(values: Sequence[str]) -> IfMatch | None:
    """The condition in a request's If-Match headers; None if it has none.

    An entry is a version as it is shown, that in quotes, or the ETag of the response that showed it, whose
    first part is the version. Whether it is weak makes no difference: what a version stands for is exact.

    Raises:
        Invalid: The headers cannot be read.
    """
    if not values:
        return None
    text = ", ".join(values).strip()
    if not _WHOLE.fullmatch(text):
        detail = "cannot be read; send the version of the workflow as GET shows it, or *"
        raise Invalid([{"parameter": IF_MATCH, "detail": detail}])
    if text == "*":
        return IfMatch(None)
    return IfMatch(frozenset((quoted or bare).partition("/")[0] for quoted, bare in _ENTRIES.findall(text)))


def refuse_unless_taken(route: APIRoute, names: Sequence[str]) -> None:
    """Raise `Invalid` if a request has an If-Match, by the names of its headers, that its route ignores."""
    if IF_MATCH.lower() in names and not _takes_if_match(route.dependant):
        raise Invalid([{"parameter": IF_MATCH, "detail": _NOT_HERE}])


def _takes_if_match(dependant: Dependant) -> bool:
    return any(field.alias == IF_MATCH for field in dependant.header_params) or any(
        _takes_if_match(inner) for inner in dependant.dependencies
    )


async def refuse_others(request: Request) -> None:
    """Raise `Invalid` for a precondition that no route of the API looks at.

    A dependency of every route, and no middleware: where a request fails without its preconditions, that is
    the answer (RFC 9110, section 13.2.1). It is async although nothing waits, as all `dependencies` are.
    """
    if not request.scope["path"].startswith("/api/"):
        return
    taken = _OF_READS if request.method in _READS else _OF_WRITES
    for name in request.headers:
        if name in _HEADERS and name not in taken:
            detail = f"is not looked at with {request.method}, so it is refused"
            raise Invalid([{"parameter": _HEADERS[name], "detail": detail}])
