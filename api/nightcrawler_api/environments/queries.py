"""The queries of the lists of environments and compute profiles; pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nightcrawler_api.environments.schemas import EnvironmentStatus
from nightcrawler_api.pagination import DEFAULT_SIZE, Continued, Size, Unset, Window, ordering
from nightcrawler_api.state.ordering import Ordering

NamedSort = Literal["name", "-name", "createdAt", "-createdAt"]


class NamedParameters(Continued):
    """Query parameters of a list of named objects."""

    search: str = Field("", max_length=256, description="Text in the name or an alias, ignoring case.")
    sort: Annotated[NamedSort, Field(description="Field to sort by; - before it: descending.")] = "name"
    page: int = Field(1, ge=1, description="Number of the page, from 1.")
    page_size: Size = Field(DEFAULT_SIZE, description="Entries on a page.")

    @property
    def window(self) -> Window:
        """The entries on the page."""
        return Window((self.page - 1) * self.page_size, self.page_size)

    @property
    def ordering(self) -> Ordering:
        """The order of the list; raises `Invalid` for a cursor that cannot be used."""
        return ordering(self.sort, self.cursor, "page" if self.page > 1 else None)


class EnvironmentParameters(NamedParameters):
    """Query parameters of the list of environments."""

    status: Annotated[Literal[EnvironmentStatus, "all"] | None, Unset()] = Field(
        None, description="Only environments with this status; all is no filter."
    )
    gpu: Annotated[Annotated[str, Field(max_length=128)] | None, Unset()] = Field(
        None, description="Only environments with GPUs of this model, as a step may ask for it: A100."
    )


class ProfileParameters(NamedParameters):
    """Query parameters of the list of compute profiles."""
