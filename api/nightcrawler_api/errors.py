"""Every error as a response: one table from error types to HTTP statuses, one format for all.

The format is RFC 9457's problem+json. `detail` is a sentence that a person can act on; `errors` locates
what is wrong in the request: a JSON pointer (RFC 6901) into the body, or the name of a query parameter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NotRequired

import msgspec
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException
from typing_extensions import TypedDict

from nightcrawler_api import refusals
from nightcrawler_api.refusals import FieldError
from nightcrawler_api.requestids import current_id
from nightcrawler_crds import errors as cluster
from nightcrawler_crds.errors import NightcrawlerError

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER_SECONDS: Final = 5
_CREDENTIALS: Final = (
    "the API server refuses the facade's own credentials, not yours; the administrator has to check "
    "that the kubeconfig of NIGHTCRAWLER_KUBECONFIG, or its Pod's service account, is still valid"
)


class Problem(TypedDict):
    """An error in the format of RFC 9457; `requestId` is in the facade's log too."""

    type: str
    title: str
    status: int
    detail: str
    requestId: str
    errors: NotRequired[list[FieldError]]


class Refused(NightcrawlerError):
    """The facade itself refuses the request; `fields` say where it is wrong."""

    def __init__(self, detail: str, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = list(fields)


class Invalid(Refused):
    """The request is invalid."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        super().__init__(refusals.summary(fields), fields)


class StateConflict(Refused):
    """The request conflicts with the current state; the detail says what would have to change."""


class Outdated(Refused):
    """The request is for a version that the object no longer has."""


class NotReady(Refused):
    """The caches are not synced yet."""


class Unauthenticated(Refused):
    """It is not known who is calling: there are no credentials, or they cannot be used."""


class NotAllowed(Refused):
    """The caller may not do it; the detail says which permission is missing."""


class IdentityUnavailable(Refused):
    """It cannot be found out now who is calling, or what they may."""


class TooManyStreams(Refused):
    """No further stream can be served here, now."""


class TooManyOfCaller(Refused):
    """The caller has as much of something as one may have."""


class HistoryUnavailable(Refused):
    """The archive cannot be read, and what the cluster has is not the whole answer."""


class BadBody(HTTPException):
    """A body refused while it is read, where FastAPI passes on no other exceptions."""

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
    StateConflict: 409,
    Unauthenticated: 401,
    NotAllowed: 403,
    IdentityUnavailable: 503,
    Outdated: 412,
    NotReady: 503,
    TooManyStreams: 503,
    TooManyOfCaller: 429,
    HistoryUnavailable: 503,
    cluster.NotFound: 404,
    cluster.Conflict: 409,
    cluster.AlreadyExists: 409,
    cluster.Invalid: 422,
    cluster.Forbidden: 403,
    cluster.TooManyRequests: 429,
    cluster.Unavailable: 503,
    # It concerns the facade's own credentials; the caller can do nothing about it.
    cluster.Unauthorized: 503,
    cluster.Gone: 503,
    cluster.Unreadable: 502,
}

_MEANINGS: Final[Mapping[int, str]] = {
    400: "The body is not JSON, or not what its Content-Encoding says.",
    401: "It is not known who is calling: send a token as Authorization: Bearer; the detail says what is "
    "wrong.",
    403: "The caller may not do it, and the detail says which permission is missing; or the cluster forbids "
    "it: "
    "missing rights, a quota or an admission rule.",
    404: "There is no such workflow or execution, or none that the caller sees.",
    409: "It conflicts with the current state; the detail says why and what to do.",
    412: "The workflow has changed: If-Match does not name its version.",
    413: "The body is larger than is taken, 1 MiB by default, compressed or decompressed.",
    415: "The body is not application/json, or its Content-Encoding is not supported.",
    422: "The request is invalid; errors says where.",
    429: "The API server is overloaded, or the caller asks for more than it may; see Retry-After.",
    502: "The object exists but cannot be decoded: another version wrote it, or someone by hand.",
    503: "The API server or the archive is unavailable, caches are not synced yet, or there are too many "
    "streams.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI documentation of these statuses, for a route's `responses`."""
    # Any object requested by name may turn out to be undecodable.
    all_of_them = {*statuses, 429, 502} if 404 in statuses else {*statuses, 429}
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in sorted(all_of_them)}


def meaning(status: int) -> str:
    """What a status of a problem means."""
    return _MEANINGS[status]


WRITES: Final = (403, 409, 422, 429, 503)
BODIES: Final = (400, 413, 415)


def install(app: FastAPI) -> None:
    """Register the handlers that turn every error of an application into problem+json."""
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
    """A problem as a response; `more` are additional fields, or replace others."""
    problem: Problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "requestId": current_id(),
    }
    if fields:
        problem["errors"] = list(fields)
    return Response(msgspec.json.encode({**problem, **(more or {})}), status, headers, MEDIA_TYPE)


def challenge(detail: str) -> str:
    """The WWW-Authenticate of a 401 (RFC 6750, section 3)."""
    quoted = detail.encode("ascii", "replace").decode().replace("\\", "/").replace('"', "'")
    return f'Bearer realm="nightcrawler", error="invalid_token", error_description="{quoted}"'


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, NightcrawlerError)
    return refusal(error)


def refusal(error: NightcrawlerError) -> Response:
    """The response to an error."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if status in (429, 503) else {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = challenge(error.detail)
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
    """The methods of all routes of a path; Starlette names those of the first only.

    Of a path without parameters, such as that of `import`, they are those of its own routes, although it may
    be the id of a workflow too.
    """
    path = getattr(request.scope.get("route"), "path", "")
    methods = _methods(request.app, request.scope["path"]) or _methods(request.app, path)
    return ", ".join(methods) if methods else (error.headers or {}).get("Allow", "")


def _methods(app: FastAPI, path: str) -> list[str]:
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.path == path]
    return [method for route in routes for method in sorted(route.methods or ())]


async def _bug(request: Request, error: Exception) -> Response:
    # Starlette re-raises it for the server, which logs the traceback.
    log.error("%s %s failed due to a bug in the facade: %r", request.method, request.url.path, error)
    return answer(500, "a bug in the facade; see its log")
