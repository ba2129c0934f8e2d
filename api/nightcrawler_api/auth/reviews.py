"""Callers and their rights by Kubernetes: TokenReview and SubjectAccessReview, remembered for a while."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
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
_TURN_SECONDS: Final = 2.0
"""So long a request waits for its turn: less than a review may take, so that what waits behind reviews that
time out fails early instead of timing out too."""
_TIMEOUT: Final = 5.0
"""So long a review may take."""
_MOST_KEPT: Final = 20_000
_LONGEST_NAME: Final = 256
_AT_ONCE: Final = 32
"""So many reviews at once, of tokens that may be nobody's, and as many of callers that are known: tokens that
are not valid must neither keep the API server busy nor the others waiting."""
_MOST_UNKNOWN: Final = 500
"""So many tokens that may be nobody's wait for their review; a further one is refused at once."""


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

    async def get(self, key: Hashable, find_out: Callable[[bool], Awaitable[V]]) -> V:
        """The answer; who asks for the same while it is being found out, gets the same.

        `find_out` gets whether there was an answer before, which has become too old.
        """
        now = time.monotonic()
        found = self._answers.get(key)
        if found is not None and (not found[1].done() or found[0] > now):
            # Shielded: one caller who goes away must not fail the others.
            return await asyncio.shield(found[1])
        task = asyncio.ensure_future(find_out(found is not None))
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
        self._unknown = asyncio.Semaphore(_AT_ONCE)
        self._known = asyncio.Semaphore(_AT_ONCE)
        self._unknown_waiting = 0
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
        return await self._callers.get(digest, lambda again: self._review(token, known=again))

    async def allows(self, caller: Caller, verb: Verb | str, namespace: str) -> bool:
        """Whether a caller may do something with workflows of a namespace; of all, if it is empty.

        Raises:
            IdentityUnavailable: Kubernetes cannot be asked now.
        """
        key = (caller.subject, caller.groups, caller.extra, verb, namespace)
        return await self._rights.get(key, lambda _: self._allows(caller, verb, namespace))

    async def _review(self, token: str, *, known: bool) -> Caller:
        """The caller of a token; `known` if it was accepted lately."""
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = self._audiences
        kind = TOKEN_REVIEWS
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
        if known:
            status = (await self._create(self._known, kind, body, _TokenReview)).status
        else:
            with self._one_more_unknown():
                status = (await self._create(self._unknown, kind, body, _TokenReview)).status
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
        return (await self._create(self._known, kind, body, _AccessReview)).status.allowed

    @contextmanager
    def _one_more_unknown(self) -> Iterator[None]:
        """Count a token that may be nobody's within the block; one too many is `IdentityUnavailable`."""
        if self._unknown_waiting >= _MOST_UNKNOWN:
            raise _unavailable("the API server has too many others to review")
        self._unknown_waiting += 1
        try:
            yield
        finally:
            self._unknown_waiting -= 1

    async def _create(
        self, turns: asyncio.Semaphore, resource: Any, body: dict[str, Any], kind: type[V]
    ) -> V:
        await _have_turn(turns)
        try:
            return await self._store.create(resource, "", body, kind, timeout=_TIMEOUT)
        except Forbidden as error:
            raise IdentityUnavailable(
                f"the facade itself may not ask Kubernetes who is calling, and what they may ({error}); "
                "the administrator has to give it the right (hack/rbac.yaml)"
            ) from error
        except ApiError as error:
            raise _unavailable(str(error)) from error
        finally:
            turns.release()


async def _have_turn(turns: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(_TURN_SECONDS):
            await turns.acquire()
    except TimeoutError:
        raise _unavailable("the API server has too many others to review") from None


def _unavailable(why: str) -> IdentityUnavailable:
    return IdentityUnavailable(
        f"Kubernetes cannot be asked who is calling, and what they may: {why}; try again later"
    )


def _expiry(token: str) -> float | None:
    """When a token that has been reviewed expires, if it says so."""
    parts = token.split(".")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_"), type=_Expired).exp
    except (IndexError, binascii.Error, ValueError):
        return None
