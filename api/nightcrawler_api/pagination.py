"""The requested part of a list: `page` and `pageSize`, or `limit` and `offset`.

Both default to ten and allow a hundred. A page beyond the end is empty, not an error: the
list may just have become shorter. The dependencies are async for the reason given in `dependencies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Query

DEFAULT_SIZE: Final = 10
MAX_SIZE: Final = 100

Size = Annotated[int, Query(ge=1, le=MAX_SIZE)]


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` entries after the first `offset`."""

    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class Page:
    """A numbered page, from 1."""

    number: int
    size: int

    @property
    def window(self) -> Window:
        """The entries on it."""
        return Window((self.number - 1) * self.size, self.size)


async def _page(
    page: Annotated[int, Query(ge=1, description="Number of the page, from 1.")] = 1,
    page_size: Annotated[Size, Query(alias="pageSize", description="Workflows on a page.")] = DEFAULT_SIZE,
) -> Page:
    return Page(page, page_size)


async def _window(
    limit: Annotated[Size, Query(description="Executions in the answer.")] = DEFAULT_SIZE,
    offset: Annotated[int, Query(ge=0, description="Executions to leave out before them.")] = 0,
) -> Window:
    return Window(offset, limit)


PageQuery = Annotated[Page, Depends(_page)]
WindowQuery = Annotated[Window, Depends(_window)]
