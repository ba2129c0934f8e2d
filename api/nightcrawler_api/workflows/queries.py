"""The query of a list of workflows: its parameters, and what they ask the index for; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from nightcrawler_api.filters import creators, environment_names
from nightcrawler_api.pagination import DEFAULT_SIZE, Continued, Moment, Size, Unset, Window, ordering
from nightcrawler_api.state.index import WorkflowQuery
from nightcrawler_api.state.protection import Protection
from nightcrawler_crds.kube.views import EnvironmentView

Tag = Annotated[str, Field(min_length=1, max_length=128)]

WorkflowSort = Literal[
    "createdAt", "-createdAt", "name", "-name", "lastRun", "-lastRun", "priority", "-priority"
]


class WorkflowParameters(Continued):
    """Query parameters of the list of workflows."""

    status: Annotated[Literal["active", "inactive", "all"] | None, Unset()] = Field(
        None, description="Only workflows with this status; all is no filter."
    )
    priority: Annotated[Literal["low", "medium", "high", "critical"] | None, Unset()] = Field(
        None, description="Only workflows with this priority."
    )
    search: str = Field("", max_length=256, description="Text in the name or description, ignoring case.")
    tags: list[Tag] = Field(
        [], max_length=64, description="Only workflows with this tag; if it is repeated, with all of them."
    )
    creator: Annotated[Annotated[str, Field(max_length=256)] | None, Unset()] = Field(
        None, description="Only workflows of this creator."
    )
    environment: Annotated[Annotated[str, Field(max_length=253)] | None, Unset()] = Field(
        None, description="Only workflows that name this environment, by its name or an alias."
    )
    namespace: Annotated[Annotated[str, Field(max_length=63)] | None, Unset()] = Field(
        None, description="Only workflows in this namespace."
    )
    from_: Moment = Field(
        None, alias="from", description="Only those created at this time or later: RFC 3339, or a date."
    )
    to: Moment = Field(None, description="Only those created before this time: RFC 3339, or a date.")
    sort: Annotated[WorkflowSort, Field(description="Field to sort by; - before it: descending.")] = (
        "-createdAt"
    )
    page: int = Field(1, ge=1, description="Number of the page, from 1.")
    page_size: Size = Field(DEFAULT_SIZE, description="Workflows on a page.")

    @property
    def window(self) -> Window:
        """The entries on the page."""
        return Window((self.page - 1) * self.page_size, self.page_size)

    def query(
        self,
        default_user: str,
        environments: Collection[EnvironmentView],
        seen: frozenset[Protection] | None = None,
    ) -> WorkflowQuery:
        """What to ask the index for, of what is seen; raises `Invalid` for a cursor that cannot be used."""
        return WorkflowQuery(
            status=None if self.status == "all" else self.status,
            priority=self.priority,
            search=self.search,
            tags=frozenset(self.tags),
            creators=creators(self.creator, default_user),
            environments=environment_names(self.environment, environments),
            namespace=self.namespace,
            begin=self.from_.timestamp() if self.from_ else None,
            end=self.to.timestamp() if self.to else None,
            seen=seen,
            ordering=ordering(self.sort, self.cursor, "page" if self.page > 1 else None),
        )
