"""The errors of the API server in the project's own language.

They are translated once, in the store, and carry a sentence that a person can
act on::

    NightcrawlerError
    ├── ApiError                the API server refused, or could not be asked
    │   ├── NotFound            404: no such object (any more)
    │   ├── Conflict            409: the object has changed since it was read
    │   ├── AlreadyExists       409: an object of that name is there
    │   ├── Gone                410: the resourceVersion is too old; list again
    │   ├── Invalid             400, 422: the object breaks a rule; `causes` name the fields
    │   ├── Forbidden           403: RBAC, quota or admission says no
    │   ├── Unauthorized        401: the credentials are not accepted
    │   ├── TooManyRequests     429: later; `retry_after` in seconds
    │   ├── Unreadable          it answered with an object that is not what we know of its kind
    │   └── Unavailable         no answer: refused, timed out, 5xx
    └── ConfigurationError      the settings or the kubeconfig cannot be used
"""

from __future__ import annotations

from dataclasses import dataclass


class NightcrawlerError(Exception):
    """Whatever Nightcrawler raises of its own."""


class ConfigurationError(NightcrawlerError):
    """The settings or the kubeconfig cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that the API server refused: `field` as it names it (`spec.steps[0].image`)."""

    field: str
    message: str


class ApiError(NightcrawlerError):
    """The API server refused a request, or could not be asked."""

    status: int = 500

    def __init__(
        self, message: str, *, causes: tuple[Cause, ...] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        self.retry_after = retry_after


class NotFound(ApiError):
    """No such object, or no longer."""

    status = 404


class Conflict(ApiError):
    """The object has changed since it was read; read it again and decide anew."""

    status = 409


class AlreadyExists(ApiError):
    """An object of that name is there already."""

    status = 409


class Gone(ApiError):
    """The resourceVersion is too old for the API server; list again."""

    status = 410


class Invalid(ApiError):
    """The object breaks a rule of its schema; `causes` name the fields."""

    status = 422


class Forbidden(ApiError):
    """RBAC, a quota or an admission rule says no."""

    status = 403


class Unauthorized(ApiError):
    """The credentials are not accepted."""

    status = 401


class TooManyRequests(ApiError):
    """The API server asks to come back later; `retry_after` is in seconds."""

    status = 429


class Unavailable(ApiError):
    """No usable answer: connection refused, timed out, or a 5xx."""

    status = 503


class Unreadable(ApiError):
    """An object that is there has a field of another type than ours; see `reading`.

    Attributes:
        key: Its namespace and name; None if not even these can be read.
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
