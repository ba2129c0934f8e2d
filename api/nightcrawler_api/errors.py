"""Every error as an answer: one table from kinds of errors to HTTP statuses, one form for all.

The form is RFC 9457's problem+json. `detail` is a sentence that a person can act on;
`errors` says where in the request it is wrong: a JSON pointer (RFC 6901) into the body, or
the name of a query parameter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NotRequired

import msgspec
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from typing_extensions import TypedDict

from nightcrawler_api import refusals
from nightcrawler_api.refusals import FieldError
from nightcrawler_crds import errors as cluster
from nightcrawler_crds.errors import NightcrawlerError

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_COME_BACK_SECONDS: Final = 5
_CREDENTIALS: Final = (
    "the API server refuses the facade's own credentials, not yours; whoever runs the facade has to see to "
    "it that the kubeconfig of NIGHTCRAWLER_KUBECONFIG, or its Pod's service account, is still valid"
)


class Problem(TypedDict):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldError]]


class Refused(NightcrawlerError):
    """The facade itself says no; `fields` say where in the request."""

    def __init__(self, detail: str, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = list(fields)


class Invalid(Refused):
    """What was asked for breaks a rule."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        super().__init__(refusals.summary(fields), fields)


class NotNow(Refused):
    """What was asked for cannot be done as things stand; the detail says what would have to change."""


class NotReady(Refused):
    """The facade has not yet read the cluster."""


class BadBody(HTTPException):
    """A body that is refused while it is read, where FastAPI lets no other exceptions through."""

    def __init__(
        self,
        status: int,
        detail: str,
        fields: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.fields = list(fields)


STATUSES: Final[Mapping[type[NightcrawlerError], int]] = {
    Invalid: 422,
    NotNow: 409,
    NotReady: 503,
    cluster.NotFound: 404,
    cluster.Conflict: 409,
    cluster.AlreadyExists: 409,
    cluster.Invalid: 422,
    cluster.Forbidden: 403,
    cluster.TooManyRequests: 429,
    cluster.Unavailable: 503,
    # The facade's own credentials, not the caller's: nothing that a caller could do better.
    cluster.Unauthorized: 503,
    cluster.Gone: 503,
    cluster.Unreadable: 502,
}

_MEANINGS: Final[Mapping[int, str]] = {
    400: "The body is not JSON, or not what its Content-Encoding says.",
    403: "The cluster does not allow it: its rights, a quota or an admission rule.",
    404: "There is no such workflow or execution.",
    409: "It cannot be done as things stand; the detail says why and what to do.",
    413: "The body is larger than 1 MiB, as it is sent or unpacked.",
    415: "The body is not sent as application/json, or in an encoding that is not taken.",
    422: "Something in the request breaks a rule; errors says where.",
    429: "The cluster asks to come back later; see Retry-After.",
    502: "It is there and cannot be read: another version has written it, or somebody by hand.",
    503: "The API server of the cluster is away, or has not been read yet; try again.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these statuses: for a route's `responses`."""
    # Whatever is asked for by its name may turn out to be something that cannot be read.
    all_of_them = (*statuses, 502) if 404 in statuses else statuses
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in sorted(all_of_them)}


WRITES: Final = (403, 409, 422, 429, 503)
BODIES: Final = (400, 413, 415)


def install(app: FastAPI) -> None:
    """Let every error of an application be answered in the one form."""
    app.add_exception_handler(NightcrawlerError, _ours)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(Exception, _bug)


def answer(
    status: int,
    detail: str,
    fields: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A problem as a response, with `more` beside what all problems have."""
    problem: Problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if fields:
        problem["errors"] = list(fields)
    return Response(msgspec.json.encode({**problem, **(more or {})}), status, headers, MEDIA_TYPE)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, NightcrawlerError)
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    headers = {"Retry-After": str(_COME_BACK_SECONDS)} if status in (429, 503) else {}
    if isinstance(error, Refused):
        return answer(status, error.detail, error.fields, headers)
    fields: list[FieldError] = []
    if isinstance(error, cluster.ApiError):
        fields = refusals.from_causes(error.causes)
        if error.retry_after:
            headers["Retry-After"] = str(int(error.retry_after))
        if status >= 500:
            log.warning("the API server could not be used: %s", error)
    detail = _CREDENTIALS if isinstance(error, cluster.Unauthorized) else str(error)
    return answer(status, refusals.summary(fields) if fields else detail, fields, headers)


async def _unprocessable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = refusals.from_request(error.errors())
    return answer(422, refusals.summary(fields), fields)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path}; /docs lists what there is"
    elif error.status_code == 405:
        allowed = _allowed(request, error)
        detail = f"{request.url.path} does not take {request.method}; it takes {allowed}"
        return answer(405, detail, headers={"Allow": allowed})
    fields = error.fields if isinstance(error, BadBody) else ()
    return answer(error.status_code, detail, fields, error.headers)


def _allowed(request: Request, error: StarletteHTTPException) -> str:
    """The methods of all routes of a path; Starlette names those of the first only."""
    path = getattr(request.scope.get("route"), "path", "")
    methods = request.app.openapi()["paths"].get(path)
    return (
        ", ".join(method.upper() for method in methods) if methods else (error.headers or {}).get("Allow", "")
    )


async def _bug(request: Request, error: Exception) -> Response:
    # Starlette raises it on for the server, which logs it with its traceback.
    log.error("%s %s failed by a fault of the facade: %r", request.method, request.url.path, error)
    return answer(500, "the facade has a fault here; its log says more")
