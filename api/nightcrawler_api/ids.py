"""Generated names of the objects that the facade creates, and ids: names with their namespaces."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from nightcrawler_crds.errors import AlreadyExists

V = TypeVar("V")

_BYTES: Final = 5
_TRIES: Final = 5


def new_name(prefix: str) -> str:
    """The prefix and eight random base-32 characters: `wf-3hj2kqxa`."""
    return prefix + base64.b32encode(secrets.token_bytes(_BYTES)).decode().lower()


async def create_named(prefix: str, create: Callable[[str], Awaitable[V]]) -> V:
    """Create an object under a generated name, and under another if it exists.

    Raises:
        AlreadyExists: All generated names exist, which chance rules out.
    """
    for _ in range(_TRIES - 1):
        try:
            return await create(new_name(prefix))
        except AlreadyExists:
            continue
    return await create(new_name(prefix))


class Ids:
    """Ids of objects: the name in the home namespace, `namespace:name` in others."""

    def __init__(self, home: str) -> None:
        self.home = home

    def of(self, namespace: str, name: str) -> str:
        """The id of an object."""
        return name if namespace == self.home else f"{namespace}:{name}"

    def key(self, id_: str) -> tuple[str, str]:
        """Namespace and name of an object by its id."""
        namespace, colon, name = id_.rpartition(":")
        # Each object has one id.
        return (namespace, name) if colon and namespace != self.home else (self.home, id_)

    def shown(self, value: V, namespace: str) -> V:
        """An object of a response, with the ids of objects of this namespace in place of their names."""
        if namespace == self.home:
            return value
        shown = cast("dict[str, Any]", value)
        ids = {field: f"{namespace}:{shown[field]}" for field in _ID_FIELDS if field in shown}
        return cast("V", {**shown, **ids})


_ID_FIELDS: Final = ("id", "workflowId", "executionId")
