"""Audit records as rows: each function is part of one transaction.

There is one that writes at a time, so that what is looked up here cannot change before it is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    false,
    insert,
    not_,
    or_,
    select,
    tuple_,
)

from nightcrawler_api.archive import rows
from nightcrawler_api.archive.tables import audit_marks, audit_records, namespaces
from nightcrawler_api.archive.writing import Place, place_id, place_key
from nightcrawler_api.audit.contract import Recorded, RecordQuery, Within
from nightcrawler_api.audit.record import DELETED, Mark, Origin, Record, Subject
from nightcrawler_api.auth.operations import Operation
from nightcrawler_crds.names import WORKFLOWS

_AT_ONCE: Final = 200


def add(connection: Connection, cluster: str, home: str, records: Sequence[Record]) -> None:
    """Add records; those of others give way to a facade's own about the same changes."""
    keys: dict[str, int] = {}
    for record in records:
        home_of_record = record.subject.namespace or home
        for namespace in {home_of_record, *(mark.namespace for mark in record.marks)} - keys.keys():
            keys[namespace] = place_key(connection, Place(cluster, namespace))
        _add(connection, keys[home_of_record], record, keys)


def _add(connection: Connection, where: int, record: Record, keys: Mapping[str, int]) -> None:
    there = select(audit_records.c.id).where(
        audit_records.c.namespace_id == where, audit_records.c.key == record.id
    )
    if connection.execute(there).first() is not None:
        return  # it was written before, and the answer was lost
    # A request may have changed objects of several namespaces.
    marks: dict[int, list[Mark]] = {}
    for mark in dict.fromkeys(record.marks):
        marks.setdefault(keys[mark.namespace], []).append(mark)
    known = {place: found for place, some in marks.items() if (found := _known(connection, place, some))}
    if record.origin is not Origin.REST and known:
        return
    made = connection.execute(insert(audit_records).values(namespace_id=where, **_row(record)))
    key = made.inserted_primary_key
    assert key is not None, "one row was inserted"
    for place, found in known.items():
        of_others = select(audit_marks.c.record_id).where(_are(place, found))
        connection.execute(
            delete(audit_records).where(
                audit_records.c.id.in_(of_others), audit_records.c.origin != Origin.REST.value
            )
        )
        connection.execute(delete(audit_marks).where(_are(place, found)))
    added = [
        {"namespace_id": place, "uid": mark.uid, "change": mark.change, "record_id": key[0]}
        for place, some in marks.items()
        for mark in some
    ]
    for begin in range(0, len(added), _AT_ONCE):
        connection.execute(insert(audit_marks), added[begin : begin + _AT_ONCE])


def _known(connection: Connection, where: int, marks: Iterable[Mark]) -> list[Mark]:
    """Those of some marks that have a record, or had one."""
    wanted = list(dict.fromkeys(marks))
    found: list[Mark] = []
    for begin in range(0, len(wanted), _AT_ONCE):
        some = wanted[begin : begin + _AT_ONCE]
        there = select(audit_marks.c.uid, audit_marks.c.change).where(_are(where, some))
        pairs = {(uid, change) for uid, change in connection.execute(there)}
        found += [mark for mark in some if (mark.uid, mark.change) in pairs]
    return found


def _are(where: int, marks: Collection[Mark]) -> ColumnElement[bool]:
    pairs = [(mark.uid, mark.change) for mark in marks]
    return and_(
        audit_marks.c.namespace_id == where, tuple_(audit_marks.c.uid, audit_marks.c.change).in_(pairs)
    )


def unrecorded(connection: Connection, place: Place, records: Sequence[Record]) -> list[Record]:
    """Those of some records whose change has none yet."""
    where = place_id(connection, place)
    if where is None:
        return list(records)
    known = set(_known(connection, where, (mark for record in records for mark in record.marks)))
    return [record for record in records if not known.issuperset(record.marks)]


def places(connection: Connection, cluster: str) -> list[str]:
    """The namespaces of a cluster that have records or marks."""
    found = select(namespaces.c.name).where(namespaces.c.cluster == cluster).order_by(namespaces.c.name)
    return list(connection.execute(found).scalars())


def has_begun(connection: Connection, place: Place) -> bool:
    """Whether somebody has ever looked at what others do in a namespace."""
    where = place_id(connection, place)
    return where is not None and bool(_known(connection, where, [_begun(place)]))


def _begun(place: Place) -> Mark:
    return Mark(place.namespace, "", "begun")


def begin(connection: Connection, place: Place, marks: Sequence[Mark]) -> None:
    """Take all these changes for known, without a record: they were made before there was any."""
    where = place_key(connection, place)
    wanted = [_begun(place), *dict.fromkeys(marks)]
    known = set(_known(connection, where, wanted))
    made = [
        {"namespace_id": where, "uid": mark.uid, "change": mark.change}
        for mark in wanted
        if mark not in known
    ]
    for first in range(0, len(made), _AT_ONCE):
        connection.execute(insert(audit_marks), made[first : first + _AT_ONCE])


def workflows_not_deleted(connection: Connection, place: Place) -> dict[str, str]:
    """The names of workflows, by UID, that have records but none of their deletion."""
    where = place_id(connection, place)
    deleted = select(audit_marks.c.uid).where(
        audit_marks.c.namespace_id == where, audit_marks.c.change == DELETED
    )
    found = (
        select(audit_records.c.uid, audit_records.c.name)
        .where(
            audit_records.c.namespace_id == where,
            audit_records.c.kind == WORKFLOWS.kind,
            audit_records.c.allowed,
            audit_records.c.uid != "",
            audit_records.c.uid.not_in(deleted),
        )
        .distinct()
    )
    return dict(map(tuple, connection.execute(found)))


def remove(connection: Connection, place: Place, before: datetime, present: Collection[str]) -> int:
    """Remove some old records, and the marks without a record; returns how many records."""
    where = place_id(connection, place)
    oldest = (
        select(audit_records.c.id)
        .where(audit_records.c.namespace_id == where, audit_records.c.at < rows.micros(before))
        .order_by(audit_records.c.at)
        .limit(_AT_ONCE)
    )
    ids = list(connection.execute(oldest).scalars())
    if not ids:
        return 0
    uids = set(
        connection.execute(select(audit_marks.c.uid).where(audit_marks.c.record_id.in_(ids))).scalars()
    )
    connection.execute(delete(audit_records).where(audit_records.c.id.in_(ids)))
    unneeded = [uid for uid in uids if uid not in present]
    # Without its mark, what is still there would be recorded again, as the work of others.
    connection.execute(
        delete(audit_marks).where(
            audit_marks.c.namespace_id == where,
            audit_marks.c.uid.in_(unneeded),
            audit_marks.c.record_id.is_(None),
        )
    )
    return len(ids)


def page(connection: Connection, cluster: str, query: RecordQuery, most: int) -> list[Recorded]:
    """Records that match, the newest first."""
    table = audit_records
    conditions: list[ColumnElement[bool]] = [namespaces.c.cluster == cluster]
    equal: Mapping[Any, Any] = {
        table.c.caller: query.caller,
        table.c.action: query.action,
        table.c.kind: query.kind,
        table.c.request_id: query.request_id,
        table.c.allowed: query.allowed,
    }
    conditions += [column == value for column, value in equal.items() if value is not None]
    for column, wanted in ((table.c.name, query.name), (table.c.workflow, query.workflow)):
        if wanted is not None:
            namespace, name = wanted
            conditions += [namespaces.c.name == namespace, column == name]
    if query.within is not None:
        conditions.append(_of(query.within))
    if query.begin is not None:
        conditions.append(table.c.at >= rows.micros(query.begin))
    if query.end is not None:
        conditions.append(table.c.at < rows.micros(query.end))
    if query.before is not None:
        at, key = query.before
        conditions.append(or_(table.c.at < at, and_(table.c.at == at, table.c.id < key)))
    found = (
        select(table, namespaces.c.name.label("namespace"))
        .join(namespaces, namespaces.c.id == table.c.namespace_id)
        .where(*conditions)
        .order_by(table.c.at.desc(), table.c.id.desc())
        .limit(most)
    )
    return [Recorded(_record(row), (row.at, row.id)) for row in connection.execute(found)]


def _of(within: Within) -> ColumnElement[bool]:
    """That a record is of what may be seen."""
    table, later = audit_records, audit_records.alias("later")
    # Of a workflow that is gone they are, with what it was; and not of another one of the same name.
    is_over = (
        exists()
        .where(
            later.c.namespace_id == table.c.namespace_id,
            later.c.workflow == table.c.workflow,
            later.c.at >= table.c.at,
            later.c.kind == WORKFLOWS.kind,
            later.c.action == Operation.DELETE_WORKFLOW.title,
            later.c.allowed,
        )
        .correlate(table)
    )
    single = [
        and_(namespaces.c.name == namespace, _is_one_of(table.c.workflow, names))
        for namespace, names in within.workflows.items()
    ]
    whole = and_(table.c.kind != "", namespaces.c.name.in_(sorted(within.namespaces)))
    return or_(whole, and_(or_(false(), *single), not_(is_over)))


def _is_one_of(column: ColumnElement[str], words: Collection[str]) -> ColumnElement[bool]:
    """That a column has one of some words, which may be more than a statement can have parameters."""
    return column.in_(bindparam(None, sorted(words), column.type, expanding=True, literal_execute=True))


def _row(record: Record) -> dict[str, Any]:
    subject = record.subject
    texts = {
        "key": record.id,
        "caller": record.caller,
        "caller_id": record.caller_id,
        "origin": record.origin.value,
        "action": record.action,
        "kind": subject.kind,
        "name": subject.name,
        "workflow": subject.workflow,
        "uid": subject.uid,
        "reason": record.reason,
        "request_id": record.request_id,
    }
    return {
        "at": rows.micros(record.time),
        "roles": _json(list(record.roles)),
        "old": None if record.old is None else _json(record.old),
        "new": None if record.new is None else _json(record.new),
        "allowed": record.allowed,
        "status": record.status,
        **{column: rows.storable(text) for column, text in texts.items()},
    }


def _json(value: Any) -> str:
    return rows.storable(msgspec.json.encode(value).decode())


def _record(row: Any) -> Record:
    return Record(
        id=row.key,
        time=rows.moment(row.at),
        caller=row.caller,
        caller_id=row.caller_id,
        roles=tuple(msgspec.json.decode(row.roles)),
        origin=Origin(row.origin),
        action=row.action,
        subject=Subject(row.kind, row.namespace if row.kind else "", row.name, row.workflow, row.uid),
        old=None if row.old is None else msgspec.json.decode(row.old),
        new=None if row.new is None else msgspec.json.decode(row.new),
        allowed=row.allowed,
        status=row.status,
        reason=row.reason,
        request_id=row.request_id,
    )
