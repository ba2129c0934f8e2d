"""Objects by path, as the log store has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Object:
    """An object of the store."""

    path: str
    bytes: int
    changed: datetime


class Objects(Protocol):
    """A store of objects; every method raises `HistoryUnavailable` if it cannot be used."""

    async def get(self, path: str) -> bytes | None:
        """The content of an object; None if there is none."""
        ...

    async def put(self, path: str, content: bytes) -> None:
        """Create or replace an object."""
        ...

    async def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; those that are not there do not matter."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[Sequence[Object]]:
        """All objects below a folder, in parts."""
        ...
