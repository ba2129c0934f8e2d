"""Translates the API server's errors into ours; the only place that does. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from nightcrawler_crds import errors


class _StatusCause(msgspec.Struct):
    field: str = ""
    message: str = ""


class _StatusDetails(msgspec.Struct, rename="camel"):
    causes: list[_StatusCause] = []
    retry_after_seconds: int | None = None


class _Status(msgspec.Struct):
    """Kubernetes' `Status`, the body of a refusal."""

    message: str = ""
    reason: str = ""
    details: _StatusDetails | None = None


def translate(status: int, body: bytes, retry_after: str | None = None) -> errors.ApiError:
    """A failed response as one of our errors. `body` is a `Status`, or a page of some proxy."""
    try:
        refusal = msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        refusal = _Status(message=body[:200].decode(errors="replace").strip() or f"HTTP {status}")
    details = refusal.details or _StatusDetails()
    causes = tuple(errors.Cause(cause.field, cause.message) for cause in details.causes)
    kind = _kind_of(status, refusal.reason)
    seconds = details.retry_after_seconds
    if seconds is None and retry_after and retry_after.isdigit():
        seconds = int(retry_after)
    return kind(refusal.message or f"HTTP {status}", causes=causes, retry_after=seconds)


_KINDS: Final[dict[int, type[errors.ApiError]]] = {
    400: errors.Invalid,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    413: errors.Invalid,
    422: errors.Invalid,
    429: errors.TooManyRequests,
}


def _kind_of(status: int, reason: str) -> type[errors.ApiError]:
    if reason == "AlreadyExists":
        return errors.AlreadyExists
    if reason == "Expired":
        return errors.Gone
    return _KINDS.get(status, errors.Unavailable)
