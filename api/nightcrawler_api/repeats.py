"""Safe repeats: what is sent with an `Idempotency-Key` is created once, however often it is sent.

The key, its caller and the route give the object its name, so that the API server itself refuses a second
one: that holds among replicas and after restarts, and nothing has to be remembered beside the object. Two
annotations tell a repetition from another request with the same key. The names are longer than random ones,
because a name that is taken by chance cannot be replaced by another.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, StateConflict
from nightcrawler_crds import names
from nightcrawler_crds.errors import AlreadyExists, NotFound
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource

T = TypeVar("T")

HEADER: Final = "Idempotency-Key"
PATTERN: Final = r"^[\x21-\x7e]+$"
MAX_LENGTH: Final = 255
REPLAYED: Final = "Idempotent-Replayed"
"""The response header of an answer about what an earlier request has created."""
REMARK: Final = "answered for an earlier request with this Idempotency-Key"

_IN_NAMES: Final = 16


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """The answer to a creation; `replayed` if an earlier request with its key has created it."""

    shown: T
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request with a key calls its object, and by what it knows it again.

    Attributes:
        key: The hash of the key, its caller and the route.
        body: The hash of the body.
    """

    key: str
    body: str

    def name(self, prefix: str) -> str:
        """The name of the object: `exec-5dhb2c7qmzk4r6tx`."""
        return prefix + self.key[:_IN_NAMES]

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the object."""
        return {names.ANNOTATION_IDEMPOTENCY_KEY: self.key, names.ANNOTATION_IDEMPOTENCY_BODY: self.body}


def claim_of(key: str | None, caller: Caller, body: Any, *route: str) -> Claim | None:
    """The claim of a request; None if it has no key.

    Args:
        key: The value of its header.
        caller: Who sends it: the same key of another caller is another key.
        body: Its body as it was decoded: two texts of the same JSON are the same body.
        route: What it does, and the UIDs of the objects that it does it to.
    """
    if key is None:
        return None
    return Claim(
        key=_hash(*(part.encode() for part in (caller.key, *route, key))),
        body=_hash(msgspec.json.encode(body, order="deterministic")),
    )


def _hash(*parts: bytes) -> str:
    # Each part after its length, so that ("ab", "c") and ("a", "bc") differ.
    text = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return base64.b32encode(hashlib.sha256(text).digest()).decode().lower().rstrip("=")


class _Annotations(msgspec.Struct, frozen=True):
    key: str = msgspec.field(default="", name=names.ANNOTATION_IDEMPOTENCY_KEY)
    body: str = msgspec.field(default="", name=names.ANNOTATION_IDEMPOTENCY_BODY)


class _Meta(msgspec.Struct, rename="camel", frozen=True):
    deletion_timestamp: datetime | None = None
    annotations: _Annotations = _Annotations()


class _Claimed(msgspec.Struct, frozen=True):
    """An object as far as claims look at it."""

    metadata: _Meta


async def is_made(store: Store, resource: Resource, namespace: str, name: str, claim: Claim) -> bool:
    """Whether an earlier request with this claim has created its object.

    It is asked of the API server, because another replica may have created it a moment ago.

    Raises:
        Invalid: The earlier request had another body.
        AlreadyExists: The object of that name was not created with this key.
        StateConflict: The object is being deleted.
    """
    try:
        found = (await store.get(resource, namespace, name, _Claimed)).metadata
    except NotFound:
        return False
    if found.annotations.key != claim.key:
        raise AlreadyExists(
            f"there is another object called {name!r}, the name that this {HEADER} stands for; "
            "send another key"
        )
    if found.annotations.body != claim.body:
        detail = f"has been used for a request with another body, which created {name!r}; send another key"
        raise Invalid([{"parameter": HEADER, "detail": detail}])
    if found.deletion_timestamp is not None:
        raise StateConflict(f"{name!r}, which was created with this {HEADER}, is being deleted")
    return True
