"""Callers and their rights by Kubernetes: TokenReview and SubjectAccessReview, remembered for a while."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Any, Final, Generic, TypeVar

import msgspec

from nightcrawler_api.auth.operations import Verb
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import IdentityUnavailable, Unauthenticated
from nightcrawler_crds.errors import ApiError, Forbidden
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, WORKFLOWS
from nightcrawler_crds.plaintext import plain_line

V = TypeVar("V")

ISSUER: Final = "kubernetes"
MAX_TOKEN_BYTES: Final = 32 << 10
TOKEN_SECONDS: Final = 10.0
"""So long a token is taken for valid that has been reviewed, as the API server itself does."""
ACCESS_SECONDS: Final = 60.0
"""So long a right is taken for given, or not."""
_WITHOUT_EXPIRY: Final = 3600.0
"""After so many seconds a stream of a caller ends whose token does not say when it expires."""
_TIMEOUT: Final = 5.0
_MOST_KEPT: Final = 20_000
_LONGEST_NAME: Final = 256
_AT_ONCE: Final = 32
"""So many reviews at once: tokens that are not valid must not keep the API server busy."""


class _User(msgspec.Struct):
    username: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)
    audiences: list[str] = []
    error: str = ""


class _TokenReview(msgspec.Struct):
    status: _TokenStatus = msgspec.field(default_factory=_TokenStatus)


class _AccessStatus(msgspec.Struct):
    allowed: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus = msgspec.field(default_factory=_AccessStatus)


class _Expired(msgspec.Struct):
    exp: float | None = None


class Remembered(Generic[V]):
    """Answers by a key, each found out once and remembered for some seconds; errors are not remembered."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: OrderedDict[Hashable, tuple[float, asyncio.Future[V]]] = OrderedDict()

    async def get(self, key: Hashable, find_out: Callable[[], Awaitable[V]]) -> V:
        """The answer; who asks for the same while it is being found out, gets the same."""
        now = time.monotonic()
        found = self._answers.get(key)
        if found is not None and (not found[1].done() or found[0] > now):
            # Shielded: one caller who goes away must not fail the others.
            return await asyncio.shield(found[1])
        task = asyncio.ensure_future(find_out())
        self._answers[key] = (float("inf"), task)
        self._answers.move_to_end(key)
        while len(self._answers) > _MOST_KEPT:
            self._answers.popitem(last=False)
        task.add_done_callback(lambda done: self._note(key, done))
        return await asyncio.shield(task)

    def _note(self, key: Hashable, done: asyncio.Future[V]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._answers.pop(key, None)
        elif key in self._answers:
            self._answers[key] = (time.monotonic() + self._seconds, done)


class Reviews:
    """Asks the API server who a token is of, and what a caller may do with workflows."""

    def __init__(self, store: Store, audiences: Collection[str] = ()) -> None:
        self._store = store
        self._audiences = tuple(audiences)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._callers: Remembered[Caller] = Remembered(TOKEN_SECONDS)
        self._rights: Remembered[bool] = Remembered(ACCESS_SECONDS)

    async def identify(self, token: str) -> Caller:
        """The caller of a token.

        Raises:
            Unauthenticated: Kubernetes does not accept the token.
            IdentityUnavailable: It cannot be asked now.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        digest = hashlib.blake2b(token.encode(errors="surrogateescape"), digest_size=32).digest()
        return await self._callers.get(digest, lambda: self._review(token))

    async def allows(self, caller: Caller, verb: Verb | str, namespace: str) -> bool:
        """Whether a caller may do something with workflows of a namespace; of all, if it is empty.

        Raises:
            IdentityUnavailable: Kubernetes cannot be asked now.
        """
        key = (caller.subject, caller.groups, caller.extra, verb, namespace)
        return await self._rights.get(key, lambda: self._allows(caller, verb, namespace))

    async def _review(self, token: str) -> Caller:
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = self._audiences
        kind = TOKEN_REVIEWS
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
        status = (await self._create(kind, body, _TokenReview)).status
        meant = not self._audiences or not set(self._audiences).isdisjoint(status.audiences)
        if not status.authenticated or not status.user.username or not meant:
            why = f" ({plain_line(status.error)[:200]})" if status.error else ""
            wanted = f", or is not meant for {' or '.join(self._audiences)}" if self._audiences else ""
            raise Unauthenticated(
                f"Kubernetes does not accept the token: it is invalid, expired{wanted}{why}"
            )
        user = status.user
        return Caller(
            plain_line(user.username)[:_LONGEST_NAME],
            subject=user.username,
            issuer=ISSUER,
            groups=frozenset(user.groups),
            extra=tuple(sorted((key, tuple(values)) for key, values in user.extra.items())),
            expires=_expiry(token) or time.time() + _WITHOUT_EXPIRY,
        )

    async def _allows(self, caller: Caller, verb: str, namespace: str) -> bool:
        about = {"group": WORKFLOWS.group, "resource": WORKFLOWS.plural, "verb": verb}
        if namespace:
            about["namespace"] = namespace
        spec = {
            "user": caller.subject,
            "groups": sorted(caller.groups),
            # It may say that a token has fewer rights than its user.
            "extra": {key: list(values) for key, values in caller.extra},
            "resourceAttributes": about,
        }
        kind = SUBJECT_ACCESS_REVIEWS
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
        return (await self._create(kind, body, _AccessReview)).status.allowed

    async def _create(self, resource: Any, body: dict[str, Any], kind: type[V]) -> V:
        try:
            async with self._turns:
                return await self._store.create(resource, "", body, kind, timeout=_TIMEOUT)
        except Forbidden as error:
            raise IdentityUnavailable(
                f"the facade itself may not ask Kubernetes who is calling, and what they may ({error}); "
                "the administrator has to give it the right (hack/rbac.yaml)"
            ) from error
        except ApiError as error:
            raise IdentityUnavailable(
                f"Kubernetes cannot be asked who is calling, and what they may: {error}; try again later"
            ) from error


def _expiry(token: str) -> float | None:
    """When a token that has been reviewed expires, if it says so."""
    parts = token.split(".")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_"), type=_Expired).exp
    except (IndexError, binascii.Error, ValueError):
        return None
