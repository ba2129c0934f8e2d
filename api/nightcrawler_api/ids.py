"""Generated names of the objects that the facade creates."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

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
