"""What is read from the archive: each function is part of one transaction, which reads one state of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Tuple,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    tuple_,
)

from nightcrawler_api.archive.rows import LISTED, ListedRow, micros_of
from nightcrawler_api.archive.tables import (
    archive,
    documents,
    executions,
    namespaces,
    revisions,
    steps,
    workflow_tags,
    workflows,
)
from nightcrawler_api.archive.writing import Place
from nightcrawler_api.state.ordering import Ordering
from nightcrawler_api.state.runs import ExecutionQuery

AnyRow = Row[*tuple[Any, ...]]

_AT_ONCE: Final = 500
_SORTED_BY: Final[dict[str, ColumnElement[Any]]] = {
    "startTime": executions.c.started_at,
    "endTime": executions.c.ended_at,
    "duration": executions.c.duration,
}

_STATE: Final = select(
    archive.c.name,
    archive.c.removals,
    select(namespaces.c.id)
    .where(namespaces.c.cluster == bindparam("cluster"), namespaces.c.name == bindparam("namespace"))
    .scalar_subquery(),
    select(func.max(executions.c.id)).scalar_subquery(),
)
"""One statement: each is a round trip to the database."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a process knows of the archive when it begins to read.

    Attributes:
        name: The database's name; empty at first.
        upto: The key up to which it knows which of its cached executions are archived.
        unverified: UIDs of executions that it has cached since.
    """

    name: str = ""
    upto: int = 0
    unverified: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class State:
    """The state of the archive that a transaction reads.

    Attributes:
        name: The database's name.
        removals: How often rows were removed from it.
        where: The key of our namespace in it; None if nothing of it was archived yet.
        upto: The greatest key of an execution.
        archived: Key, UID and name of those that are new, and of the unverified ones that are archived.
        starts_over: It is another database, or an earlier state of it: nothing that was known holds.
    """

    name: str
    removals: int
    where: int | None
    upto: int
    archived: Sequence[tuple[int, str, str]] = field(default=())
    starts_over: bool = False


def state_of(connection: Connection, place: Place, known: Known) -> State:
    """The state of the archive, and what is new in it."""
    its = {"cluster": place.cluster, "namespace": place.namespace}
    name, removals, where, greatest = connection.execute(_STATE, its).one()
    upto = greatest or 0
    # After all rows were removed the greatest key is lower too, and starting over does no harm.
    starts_over = bool(known.name) and (known.name != name or upto < known.upto)
    if where is None or starts_over:
        return State(name, removals, where, upto, starts_over=starts_over)
    archived: list[tuple[int, str, str]] = []
    mine = select(executions.c.id, executions.c.uid, executions.c.name).where(
        executions.c.namespace_id == where
    )
    if known.name and upto > known.upto:
        archived += map(_which, connection.execute(_by_key(mine.where(executions.c.id > known.upto))))
    for begin in range(0, len(known.unverified), _AT_ONCE):
        some = known.unverified[begin : begin + _AT_ONCE]
        archived += map(_which, connection.execute(mine.where(executions.c.uid.in_(some))))
    return State(name, removals, where, upto, archived)


def _which(row: AnyRow) -> tuple[int, str, str]:
    return row[0], row[1], row[2]


def _by_key(query: Select[Any]) -> Select[Any]:
    """A query of the few rows with the greatest keys: without it SQLite would read an index of all rows."""
    return query.with_hint(executions, "NOT INDEXED", "sqlite")


def conditions(
    where: int | None, query: ExecutionQuery, owner: str | None, *, in_order: bool = False
) -> list[ColumnElement[bool]]:
    """The conditions of a query's filters, without its position.

    With `in_order`, an index in the order of the list is to be used, and not one that finds all rows of some
    time, which then have to be sorted.
    """
    column = executions.c
    started: ColumnElement[Any] = column.started_at
    if in_order and query.ordering.field != "startTime":
        started = started + 0  # no index has this
    found: list[ColumnElement[bool]] = [column.namespace_id == where]
    if query.status is not None:
        found.append(column.status == query.status)
    if query.workflow is not None:
        found.append(column.workflow == query.workflow[1])
    if owner is not None:
        found.append(column.workflow_uid == owner)
    if query.environments is not None:
        found.append(_one_of(column.environment, query.environments))
    if query.owners is not None:
        found.append(column.workflow_uid.in_(sorted(query.owners)))
    if query.executors is not None:
        found.append(_one_of(column.executor, query.executors))
    if query.begin is not None:
        found.append(started >= micros_of(query.begin))
    if query.end is not None:
        found.append(started < micros_of(query.end))
    if query.tags:
        found.append(column.workflow_uid.in_(_tagged(where, query.tags)))
    return found


def _one_of(column: ColumnElement[Any], values: Any) -> ColumnElement[bool]:
    texts = sorted(value for value in values if value)
    found = column == texts[0] if len(texts) == 1 else column.in_(texts)
    return or_(found, column == "", column.is_(None)) if None in values else found


def _tagged(where: int | None, tags: frozenset[str]) -> Select[Any]:
    """The UIDs of workflows that have all these tags."""
    return (
        select(workflows.c.uid)
        .join(workflow_tags, workflow_tags.c.workflow_id == workflows.c.id)
        .where(workflows.c.namespace_id == where, workflow_tags.c.tag.in_(sorted(tags)))
        .group_by(workflows.c.uid)
        .having(func.count() == len(tags))
    )


def page(
    connection: Connection,
    where: int | None,
    query: ExecutionQuery,
    owner: str | None,
    *,
    skip: int,
    most: int,
    total: int,
) -> list[ListedRow]:
    """Up to `most` rows that match, after the query's position and `skip` others.

    `total` is how many match, whatever the position: places in the second half are found from the end.
    """
    ordering = query.ordering
    by = _columns_of(ordering)
    chosen = conditions(where, query, owner, in_order=True)
    if ordering.after is not None:
        chosen.append(_after(ordering, by))
    if skip:
        # An index has these columns, so that the rows that are skipped are not read.
        places = select(*by).where(*chosen)
        left = total - 1 - skip
        if ordering.after is None and left < skip:
            places = _ordered(places, by, descending=not ordering.descending).offset(max(left, 0))
        else:
            places = _ordered(places, by, descending=ordering.descending).offset(skip)
        first = connection.execute(places.limit(1)).one_or_none()
        if first is None or (ordering.after is None and left < 0):
            return []
        row = tuple_(*by)
        chosen.append(row <= tuple_(*first) if ordering.descending else row >= tuple_(*first))
    own = and_(
        workflows.c.namespace_id == executions.c.namespace_id, workflows.c.uid == executions.c.workflow_uid
    )
    found = (
        select(*(executions.c[name] for name in LISTED), workflows.c.display_name)
        .select_from(executions)
        .outerjoin(workflows, own)
        .where(*chosen)
    )
    listed = connection.execute(_ordered(found, by, descending=ordering.descending).limit(most))
    return [ListedRow(*row) for row in listed]


def _columns_of(ordering: Ordering) -> list[ColumnElement[Any]]:
    value = _SORTED_BY.get(ordering.field)
    by_creation: list[ColumnElement[Any]] = [executions.c.created_at, executions.c.name]
    return by_creation if value is None else [value, *by_creation]


def _ordered(query: Select[Any], by: Sequence[ColumnElement[Any]], *, descending: bool) -> Select[Any]:
    return query.order_by(*(column.desc() if descending else column for column in by))


def _after(ordering: Ordering, by: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """The condition of what comes after the query's position; what has no value is never archived."""
    position = ordering.after
    assert position is not None
    created_at, _, name = position.order
    values: list[Any] = [micros_of(created_at), name]
    if len(by) > len(values):
        if position.value is None:
            return false()
        values = [micros_of(float(position.value)), *values]
    row: Tuple = tuple_(*by)
    return row < tuple_(*values) if ordering.descending else row > tuple_(*values)


def count(
    connection: Connection,
    where: int | None,
    query: ExecutionQuery,
    owner: str | None,
    *,
    above: int = 0,
) -> int:
    """How many executions match, whatever the query's position; of those with keys above this."""
    matching = select(func.count()).select_from(executions).where(*conditions(where, query, owner))
    if above:
        matching = _by_key(matching.where(executions.c.id > above))
    return connection.execute(matching).scalar_one()


def figures(connection: Connection, where: int | None, query: ExecutionQuery) -> Sequence[AnyRow]:
    """What statistics need of all that match, in the order of `Figures`; an index has all of it."""
    column = executions.c
    found = select(
        column.status,
        column.workflow,
        column.started_at,
        column.duration,
        column.wait,
        column.environment,
        column.executor,
        column.cost,
        column.currency,
    )
    return connection.execute(found.where(*conditions(where, query, None))).all()


def execution(
    connection: Connection, where: int | None, name: str, uid: str, owner: str | None
) -> tuple[AnyRow, Sequence[AnyRow]] | None:
    """The latest execution of a name, or that whose UID begins so, and its steps."""
    own = and_(
        workflows.c.namespace_id == executions.c.namespace_id, workflows.c.uid == executions.c.workflow_uid
    )
    found = (
        select(executions, documents.c.document, workflows.c.display_name)
        .join(documents, documents.c.execution_id == executions.c.id)
        .outerjoin(workflows, own)
        .where(executions.c.namespace_id == where, executions.c.name == name)
        .order_by(executions.c.created_at.desc(), executions.c.id.desc())
        .limit(1)
    )
    if uid:
        found = found.where(executions.c.uid.startswith(uid, autoescape=True))
    if owner is not None:
        found = found.where(executions.c.workflow_uid == owner)
    row = connection.execute(found).first()
    if row is None:
        return None
    its = select(steps).where(steps.c.execution_id == row.id).order_by(steps.c.position)
    return row, connection.execute(its).all()


def revision(connection: Connection, where: int | None, name: str) -> AnyRow | None:
    """A ControllerRevision, with its data as JSON."""
    found = select(revisions).where(revisions.c.namespace_id == where, revisions.c.name == name)
    return connection.execute(found).first()


def revisions_of(
    connection: Connection, where: int | None, owner: str
) -> tuple[Sequence[AnyRow], dict[str, int]]:
    """The ControllerRevisions of a workflow without their data, and how many executions used each."""
    column = revisions.c
    its = select(column.name, column.workflow_uid, column.generation, column.created_at).where(
        column.namespace_id == where, column.workflow_uid == owner
    )
    found = connection.execute(its).all()
    names = [one.name for one in found]
    uses: dict[str, int] = {}
    counted = select(executions.c.revision, func.count()).group_by(executions.c.revision)
    for begin in range(0, len(names), _AT_ONCE):
        some = executions.c.revision.in_(names[begin : begin + _AT_ONCE])
        mine = counted.where(executions.c.namespace_id == where, some)
        uses.update((name, number) for name, number in connection.execute(mine))
    return found, uses


def workflow_names(connection: Connection, where: int | None, names: Sequence[str]) -> dict[str, str]:
    """The last known names for people of workflows, by their names; of several of one name, the latest."""
    found = select(workflows.c.name, workflows.c.display_name).order_by(
        workflows.c.created_at, workflows.c.id
    )
    known: dict[str, str] = {}
    for begin in range(0, len(names), _AT_ONCE):
        some = names[begin : begin + _AT_ONCE]
        mine = found.where(workflows.c.namespace_id == where, workflows.c.name.in_(some))
        known.update((name, called) for name, called in connection.execute(mine))
    return known
