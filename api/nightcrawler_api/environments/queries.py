"""The queries of the lists of environments and compute profiles; pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nightcrawler_api.environments.schemas import EnvironmentStatus
from nightcrawler_api.pagination import Paged, Unset

NamedSort = Literal["name", "-name", "createdAt", "-createdAt"]


class NamedParameters(Paged):
    """Query parameters of a list of named objects."""

    search: str = Field("", max_length=256, description="Text in the name or an alias, ignoring case.")
    sort: Annotated[NamedSort, Field(description="Field to sort by; - before it: descending.")] = "name"


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
