"""Responses about revisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from nightcrawler_api.pagination import Paged

RevisionSort = Literal["generation", "-generation", "createdAt", "-createdAt"]


class RevisionParameters(Paged):
    """Query parameters of the list of revisions."""

    sort: Annotated[RevisionSort, Field(description="Field to sort by; - before it: descending.")] = (
        "-generation"
    )


class Revision(TypedDict):
    """What executions of a workflow used of it and of its compute profiles, as that was at one time.

    `generation` is the workflow's generation then. `current` says whether an execution that starts now would
    use it, `executions` how many executions used it that the cluster or the archive has. `archived` is true
    of one that only the archive has.
    """

    id: str
    generation: int
    createdAt: str
    current: bool
    executions: int
    archived: NotRequired[bool]


class RevisionList(TypedDict):
    """A page of the revisions of a workflow; `total` counts all, `nextCursor` is there if others follow."""

    revisions: list[Revision]
    total: int
    page: int
    pageSize: int
    nextCursor: NotRequired[str]


class RevisionDetail(Revision):
    """A revision with its content: fields of the workflow's spec, and `profiles` by the names it uses."""

    content: dict[str, Any]


class Difference(TypedDict):
    """A place whose values differ; a value is missing where the place is.

    `path` is a JSON pointer into the contents, in which steps and parameters go by their names.
    """

    path: str
    old: NotRequired[Any]
    new: NotRequired[Any]


class RevisionDifference(TypedDict):
    """The places in which a revision differs from another, `new`, which may be `latest`."""

    old: str
    new: str
    differences: list[Difference]
