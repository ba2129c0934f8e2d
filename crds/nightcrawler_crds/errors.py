"""Our exceptions. Errors of the API server are translated once, in the store.

Each message is a sentence that a user can act on::

    NightcrawlerError
    ├── ApiError                the API server refused, or could not be reached
    │   ├── NotFound            404: no such object
    │   ├── Conflict            409: the object has changed since it was read
    │   ├── AlreadyExists       409: an object of that name exists
    │   ├── Gone                410: the resourceVersion is too old; list again
    │   ├── Invalid             400, 422: the object breaks a rule; `causes` name the fields
    │   ├── Forbidden           403: RBAC, quota or admission says no
    │   ├── Unauthorized        401: the credentials are not accepted
    │   ├── TooManyRequests     429: retry later; `retry_after` in seconds
    │   ├── Unreadable          it returned an object with fields of unexpected types
    │   └── Unavailable         no answer: refused, timed out, 5xx
    └── ConfigurationError      the settings or the kubeconfig cannot be used
"""

from __future__ import annotations

from dataclasses import dataclass


class NightcrawlerError(Exception):
    """The base of all our exceptions."""


class ConfigurationError(NightcrawlerError):
    """The settings or the kubeconfig cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that the API server refused: `field` as it names it (`spec.steps[0].image`)."""

    field: str
    message: str


class ApiError(NightcrawlerError):
    """The API server refused a request, or could not be reached."""

    status: int = 500

    def __init__(
        self, message: str, *, causes: tuple[Cause, ...] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        self.retry_after = retry_after


class NotFound(ApiError):
    """No such object."""

    status = 404


class Conflict(ApiError):
    """The object has changed since it was read; read it again and reconcile."""

    status = 409


class AlreadyExists(ApiError):
    """An object of that name already exists."""

    status = 409


class Gone(ApiError):
    """The resourceVersion is too old for the API server; list again."""

    status = 410


class Invalid(ApiError):
    """The object breaks a rule of its schema; `causes` name the fields."""

    status = 422


class Forbidden(ApiError):
    """RBAC, a quota or an admission policy refuses."""

    status = 403


class Unauthorized(ApiError):
    """The credentials are not accepted."""

    status = 401


class TooManyRequests(ApiError):
    """The API server is overloaded; `retry_after` is in seconds."""

    status = 429


class Unavailable(ApiError):
    """No usable response: connection refused, timed out, or a 5xx."""

    status = 503


class Unreadable(ApiError):
    """An object has a field of an unexpected type; see `kube.reading`.

    Attributes:
        key: Its namespace and name; None if these cannot be decoded either.
        uid: Its UID.
        version: Its resourceVersion, as a number.
    """

    status = 502

    def __init__(
        self, message: str, *, key: tuple[str, str] | None = None, uid: str = "", version: int = 0
    ) -> None:
        super().__init__(message)
        self.key = key
        self.uid = uid
        self.version = version
