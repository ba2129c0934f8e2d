"""What the facade's services ask of an archive; without SQLAlchemy, so that they work without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from nightcrawler_api.state.ordering import Order
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView

ALIAS_DIGITS: Final = 8
"""Of the UID in the id of a run whose name a later one has."""


def alias(name: str, uid: str) -> str:
    """The id of an archived run whose name a later one has; no object can have it as its name."""
    return f"{name}.{uid[:ALIAS_DIGITS]}"


def split_alias(identifier: str) -> tuple[str, str]:
    """The name in an id, and the beginning of the UID, empty if it has none."""
    name, _, uid = identifier.partition(".")
    return name, uid


class ListedRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The columns of an execution that lists read, and its namespace."""

    id: int
    uid: str
    name: str
    superseded: bool
    workflow: str
    workflow_uid: str | None
    status: str
    created_at: int
    started_at: int
    ended_at: int
    environment: str | None
    executor: str | None
    trigger: str
    scheduled_at: int | None
    progress: str | None
    message: str | None
    cost: float | None
    currency: str | None
    usage: str | None
    namespace: str = ""


class ArchivedRun:
    """A run of a list, from its row.

    Attributes:
        row: The row.
        order: Its place by creation.
        workflow_name: The last known name for people of a workflow that the cluster does not have.
        shown: Its JSON in a list, after what that depends on beside the row: the kind of list, and what the
            cluster has of the run and of its workflow. A page that several callers ask for is read once, and
            so its runs are made into JSON once.
    """

    __slots__ = ("order", "row", "shown", "workflow_name")

    def __init__(self, row: ListedRow) -> None:
        self.row = row
        self.order: Order = (row.created_at / 1e6, row.namespace, row.name)
        self.workflow_name: str | None = None
        self.shown: tuple[object, object, object, msgspec.Raw] | None = None

    @property
    def started(self) -> float:
        """When it started, in seconds since 1970; if no step has, its creation."""
        return self.row.started_at / 1e6

    @property
    def ended(self) -> float:
        """When it ended, in seconds since 1970."""
        return self.row.ended_at / 1e6

    @property
    def has_started(self) -> bool:
        """Whether its duration is known: of what has ended it is."""
        return True

    def id_beside(self, cached: ExecutionView | None) -> str:
        """Its id where the cluster has this run of its name."""
        return id_of(self.row.name, self.row.uid, superseded=self.row.superseded, cached=cached)


def id_of(name: str, uid: str, *, superseded: bool, cached: ExecutionView | None) -> str:
    """The id of an archived run: its name, unless a later one has it, archived (`superseded`) or `cached`."""
    if superseded or (cached is not None and cached.metadata.uid != uid):
        return alias(name, uid)
    return name


@dataclass(frozen=True, slots=True)
class ArchivedPage:
    """Rows of a list, and how many match in all, in one state of the archive: with keys up to `upto`."""

    rows: Sequence[ArchivedRun]
    total: int
    upto: int


@dataclass(frozen=True, slots=True)
class ArchivedExecution:
    """One run in full; `order` are the names of its steps in the order of its workflow."""

    view: ExecutionView
    id: str
    workflow_uid: str
    workflow_name: str | None
    order: Sequence[str] = field(default=())


# Not frozen: statistics of months have hundreds of thousands, which would take twice as long to make.
@dataclass(slots=True)
class Figures:
    """What statistics need of one run; times in seconds, the start since 1970.

    `duration` is None of a live one, `wait` of one of which no step has started. `executor` is that of the
    spec, in which it may be missing.
    """

    status: str
    workflow: str
    started: float
    duration: float | None
    wait: float | None
    environment: str | None
    executor: str | None
    cost: float | None = None
    currency: str | None = None
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class ArchivedRevision:
    """A ControllerRevision that runs used, with the workflow's generation then; lists leave out `data`."""

    name: str
    workflow_uid: str
    generation: int = 1
    created: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArchivedRevisions:
    """Those of a workflow, and by their names how many of the rows with keys up to `upto` used each."""

    revisions: Sequence[ArchivedRevision]
    uses: Mapping[str, int]
    upto: int


class History(Protocol):
    """Runs that have ended; every method raises `HistoryUnavailable` if the archive cannot be read."""

    async def page(self, query: ExecutionQuery, owner: str | None, *, skip: int, most: int) -> ArchivedPage:
        """Up to `most` rows that match, in the query's order, after its position and `skip` others.

        `owner` is the UID of the Workflow whose runs they must be.
        """
        ...

    async def figures(self, query: ExecutionQuery) -> tuple[Sequence[Figures], int]:
        """Those of all that match, and up to which key."""
        ...

    async def workflow_names(self, workflows: Sequence[Key]) -> Mapping[Key, str]:
        """The last known names for people of workflows by namespace and name, as far as they are known."""
        ...

    async def execution(self, namespace: str, identifier: str, owner: str | None) -> ArchivedExecution | None:
        """A run by its namespace and its id there; of the Workflow with this UID, if one is given."""
        ...

    async def revision(self, namespace: str, name: str) -> ArchivedRevision | None:
        """A ControllerRevision that a run used."""
        ...

    async def revisions(self, namespace: str, owner: str) -> ArchivedRevisions:
        """Those of the Workflow with this UID, in no order."""
        ...


@dataclass(frozen=True, slots=True)
class Backlogged:
    """How far an archive is behind: runs that wait, the seconds since the first of them ended, and counts.

    Attributes:
        lost: Runs that were deleted while the archive was away for too long.
        written: Runs that this process has archived.
        removed: Runs that it has removed, as too old or too many.
    """

    waiting: int
    seconds: float
    lost: int
    written: int
    removed: int


class Archive(Protocol):
    """An archive as the application knows it."""

    @property
    def history(self) -> History:
        """What it has."""
        ...

    @property
    def problem(self) -> str:
        """What keeps this replica from writing, if it is its turn; empty if nothing does."""
        ...

    @property
    def backlog(self) -> Backlogged:
        """What is to be archived; of the replica whose turn it is."""
        ...
