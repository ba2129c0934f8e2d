"""What is read from the archive: each function is part of one transaction, which reads one state of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    select,
    true,
)

from nightcrawler_api.archive.counts import Basis, Rows
from nightcrawler_api.archive.filters import BEGIN, conditions, values_of
from nightcrawler_api.archive.state import Known, State
from nightcrawler_api.archive.tables import (
    archive,
    documents,
    executions,
    namespaces,
    revisions,
    steps,
    workflows,
)
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds.namespaces import Namespaces

AnyRow = Row[*tuple[Any, ...]]

_AT_ONCE: Final = 500

GREATEST_KEY: Final = select(func.max(executions.c.id)).scalar_subquery()
"""The greatest key of an execution."""


def _state(wanted: ColumnElement[bool]) -> Select[Any]:
    """The state, with a row for each of some namespaces; one statement, as each is a round trip."""
    of_cluster = and_(namespaces.c.cluster == bindparam("cluster"), wanted)
    found = select(archive.c.name, archive.c.removals, GREATEST_KEY, namespaces.c.name, namespaces.c.id)
    return found.select_from(archive).outerjoin(namespaces, of_cluster)


_OF_SOME: Final = _state(namespaces.c.name.in_(bindparam("names", expanding=True)))
_OF_ALL: Final = _state(true())


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
    unverified = _by_namespace((namespace, uid) for uid, namespace in known.unverified.items())
    for namespace, uids in unverified.items():
        there = those.where(column.namespace_id == keys.get(namespace))
        for begin in range(0, len(uids), _AT_ONCE):
            found += connection.execute(there.where(column.uid.in_(uids[begin : begin + _AT_ONCE])))
    names = {key: namespace for namespace, key in keys.items()}
    archived = [(key, names[where], uid, of) for key, where, uid, of in found]
    return State(name, removals, keys, upto, archived)


def _by_namespace(objects: Iterable[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    """The UIDs of objects in each namespace, from namespaces and UIDs."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for namespace, uid in objects:
        found[namespace].append(uid)
    return found


def by_key(query: Select[Any]) -> Select[Any]:
    """A query of the few rows with the greatest keys: without it SQLite would read an index of all rows."""
    return query.with_hint(executions, "NOT INDEXED", "sqlite")


def counting(filters: Iterable[str], rows: Rows) -> Select[int]:
    """The number of these rows that match, whatever a list's position."""
    if rows == "between":
        filters = [name for name in filters if name != BEGIN]
    matching = select(func.count()).select_from(executions).where(*conditions(filters))
    if rows == "added":
        return by_key(matching.where(executions.c.id > bindparam("above")))
    if rows == "between":
        started = executions.c.started_at
        return matching.where(started >= bindparam("since"), started < bindparam("until"))
    return matching


def count(
    connection: Connection, where: int | None, query: ExecutionQuery, owner: str | None, counted: Basis
) -> int:
    """How many of the rows that are still to be counted match, whatever the query's position."""
    if counted.rows == "none":
        return 0
    values = values_of(where, query, owner)
    return connection.execute(counting(values, counted.rows), {**values, **counted.values}).scalar_one()


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
    values = values_of(where, query, None)
    return connection.execute(found.where(*conditions(values)), values).all()


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


def names_by_uid(
    connection: Connection, keys: Mapping[str, int], owners: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """The last known names for people of workflows, by their namespaces and UIDs."""
    column, known = workflows.c, dict[tuple[str, str], str]()
    for namespace, uids in _by_namespace(owners).items():
        its = select(column.uid, column.display_name).where(column.namespace_id == keys[namespace])
        for begin in range(0, len(uids), _AT_ONCE):
            some = connection.execute(its.where(column.uid.in_(uids[begin : begin + _AT_ONCE])))
            known.update(((namespace, uid), called) for uid, called in some)
    return known


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
