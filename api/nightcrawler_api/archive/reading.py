"""What is read from the archive: each function is part of one transaction, which reads one state of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
)

from nightcrawler_api.archive.rows import micros_of
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
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds.namespaces import Namespaces

AnyRow = Row[*tuple[Any, ...]]

_AT_ONCE: Final = 500


def _state(wanted: ColumnElement[bool]) -> Select[Any]:
    """The state, with a row for each of some namespaces; one statement, as each is a round trip."""
    of_cluster = and_(namespaces.c.cluster == bindparam("cluster"), wanted)
    greatest = select(func.max(executions.c.id)).scalar_subquery()
    found = select(archive.c.name, archive.c.removals, greatest, namespaces.c.name, namespaces.c.id)
    return found.select_from(archive).outerjoin(namespaces, of_cluster)


_OF_SOME: Final = _state(namespaces.c.name.in_(bindparam("names", expanding=True)))
_OF_ALL: Final = _state(true())


@dataclass(frozen=True, slots=True)
class Known:
    """What a process knows of the archive when it begins to read.

    Attributes:
        name: The database's name; empty at first.
        upto: The key up to which it knows which of its cached executions are archived.
        unverified: Executions that it has cached since: their namespaces by their UIDs.
    """

    name: str = ""
    upto: int = 0
    unverified: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The state of the archive that a transaction reads.

    Attributes:
        name: The database's name.
        removals: How often rows were removed from it.
        keys: Those of the namespaces that are served, by their names, as far as something is archived there.
        upto: The greatest key of an execution.
        archived: Key, namespace, UID and name of those that are new, and of the unverified ones that are
            archived.
        starts_over: It is another database, or an earlier state of it: nothing that was known holds.
    """

    name: str
    removals: int
    keys: Mapping[str, int]
    upto: int
    archived: Sequence[tuple[int, str, str, str]] = field(default=())
    starts_over: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a list is of in one namespace: its key and name, and the query there."""

    where: int
    namespace: str
    query: ExecutionQuery


def state_of(connection: Connection, cluster: str, served: Namespaces, known: Known) -> State:
    """The state of the archive, and what is new in it."""
    asked: dict[str, Any] = {"cluster": cluster}
    if served.names is not None:
        asked["names"] = sorted(served.names)
    rows = connection.execute(_OF_ALL if served.names is None else _OF_SOME, asked).all()
    name, removals, greatest, _, _ = rows[0]
    keys = {place: key for _, _, _, place, key in rows if key is not None and place in served}
    upto = greatest or 0
    # After all rows were removed the greatest key is lower too, and starting over does no harm.
    starts_over = bool(known.name) and (known.name != name or upto < known.upto)
    if not keys or starts_over:
        return State(name, removals, keys, upto, starts_over=starts_over)
    column = executions.c
    those = select(column.id, column.namespace_id, column.uid, column.name)
    found: list[AnyRow] = []
    if known.name and upto > known.upto:
        ours = those.where(column.namespace_id.in_(sorted(keys.values())))
        found += connection.execute(by_key(ours.where(column.id > known.upto)))
    for namespace, uids in _by_namespace(known.unverified).items():
        there = those.where(column.namespace_id == keys.get(namespace))
        for begin in range(0, len(uids), _AT_ONCE):
            found += connection.execute(there.where(column.uid.in_(uids[begin : begin + _AT_ONCE])))
    names = {key: namespace for namespace, key in keys.items()}
    archived = [(key, names[where], uid, of) for key, where, uid, of in found]
    return State(name, removals, keys, upto, archived)


def _by_namespace(unverified: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for uid, namespace in unverified.items():
        found[namespace].append(uid)
    return found


def by_key(query: Select[Any]) -> Select[Any]:
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
        matching = by_key(matching.where(executions.c.id > above))
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
