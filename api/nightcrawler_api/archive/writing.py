"""What is written to the archive: each function is part of one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, and_, delete, func, insert, not_, select, update

from nightcrawler_api.archive import rows
from nightcrawler_api.archive.contract import ArchivedRevision
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
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView

_AT_ONCE: Final = 500
"""Values in one statement: databases limit their number."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose rows are meant: those of one namespace of a cluster, identified by the UID of kube-system."""

    cluster: str
    namespace: str


@dataclass(frozen=True, slots=True)
class EndedRun:
    """An execution to archive, and the order of its steps."""

    view: ExecutionView
    order: Sequence[str] = ()


def place_id(connection: Connection, place: Place) -> int | None:
    """The key of a namespace; None if nothing of it was archived yet."""
    found = select(namespaces.c.id).where(
        namespaces.c.cluster == place.cluster, namespaces.c.name == place.namespace
    )
    return connection.execute(found).scalar()


def place_key(connection: Connection, place: Place) -> int:
    """The key of a namespace, which is added if nothing of it was archived yet."""
    found = place_id(connection, place)
    if found is not None:
        return found
    new = insert(namespaces).values(cluster=place.cluster, name=place.namespace)
    key = connection.execute(new).inserted_primary_key
    assert key is not None, "one row was inserted"
    return int(key[0])


def add_runs(
    connection: Connection,
    place: Place,
    ended: Sequence[EndedRun],
    used: Iterable[ArchivedRevision],
    now: datetime,
) -> int:
    """Add executions that have ended, with the revisions that they used; returns how many were new."""
    where = place_key(connection, place)
    _add_revisions(connection, where, {one.name: one for one in used})
    uids = [run.view.metadata.uid for run in ended]
    known: set[str] = set()
    for some in _parts(uids):
        there = select(executions.c.uid).where(executions.c.namespace_id == where, executions.c.uid.in_(some))
        known.update(connection.execute(there).scalars())
    new = {run.view.metadata.uid: run for run in ended if run.view.metadata.uid not in known}
    if not new:
        return 0
    made = [{"namespace_id": where, **rows.execution_row(run.view, now)} for run in new.values()]
    added = insert(executions).returning(executions.c.id, executions.c.uid)
    keys = {uid: key for key, uid in connection.execute(added, made)}
    documents_of = [
        {"execution_id": keys[uid], "document": rows.document_of(run.view)} for uid, run in new.items()
    ]
    connection.execute(insert(documents), documents_of)
    their_steps = [
        {"execution_id": keys[uid], **row}
        for uid, run in new.items()
        for row in rows.step_rows(run.view, run.order)
    ]
    if their_steps:
        connection.execute(insert(steps), their_steps)
    _mark_superseded(connection, where, {row["name"] for row in made})
    return len(new)


def _add_revisions(connection: Connection, where: int, used: Mapping[str, ArchivedRevision]) -> None:
    if not used:
        return
    there = select(revisions.c.name).where(
        revisions.c.namespace_id == where, revisions.c.name.in_(list(used))
    )
    known = set(connection.execute(there).scalars())
    made = [
        {
            "namespace_id": where,
            "name": one.name,
            "workflow_uid": one.workflow_uid,
            "generation": one.generation,
            "created_at": None if one.created is None else rows.micros(one.created),
            "data": msgspec.json.encode(one.data).decode(),
        }
        for one in used.values()
        if one.name not in known
    ]
    if made:
        connection.execute(insert(revisions), made)


def _mark_superseded(connection: Connection, where: int, names: Collection[str]) -> None:
    """Of executions with the same name, mark all but the latest."""
    mine = and_(executions.c.namespace_id == where, executions.c.name.in_(list(names)))
    repeated = select(executions.c.name).where(mine).group_by(executions.c.name).having(func.count() > 1)
    for name in connection.execute(repeated).scalars().all():
        same = and_(executions.c.namespace_id == where, executions.c.name == name)
        latest = (
            select(executions.c.id)
            .where(same)
            .order_by(executions.c.created_at.desc(), executions.c.id.desc())
        )
        newest = connection.execute(latest.limit(1)).scalar_one()
        connection.execute(update(executions).where(same).values(superseded=executions.c.id != newest))


def known_workflows(connection: Connection, place: Place) -> dict[str, int]:
    """The generation of each workflow that is not known to be deleted, by its UID."""
    where = place_id(connection, place)
    found = select(workflows.c.uid, workflows.c.generation).where(
        workflows.c.namespace_id == where, workflows.c.deleted_at.is_(None)
    )
    return dict(map(tuple, connection.execute(found)))


def put_workflows(connection: Connection, place: Place, present: Sequence[WorkflowView]) -> None:
    """Add or replace workflows that the cluster has."""
    where = place_key(connection, place)
    by_uid = {one.metadata.uid: one for one in present}
    known: dict[str, int] = {}
    for some in _parts(by_uid):
        found = select(workflows.c.uid, workflows.c.id).where(
            workflows.c.namespace_id == where, workflows.c.uid.in_(some)
        )
        known.update((uid, key) for uid, key in connection.execute(found))
    for uid, key in known.items():
        row = {**rows.workflow_row(by_uid[uid]), "deleted_at": None}
        connection.execute(update(workflows).where(workflows.c.id == key).values(row))
        connection.execute(delete(workflow_tags).where(workflow_tags.c.workflow_id == key))
    made = [
        {"namespace_id": where, **rows.workflow_row(one)} for uid, one in by_uid.items() if uid not in known
    ]
    if made:
        added = insert(workflows).returning(workflows.c.uid, workflows.c.id)
        known.update((uid, key) for uid, key in connection.execute(added, made))
    tags = [
        {"workflow_id": known[uid], "tag": tag} for uid, one in by_uid.items() for tag in rows.tags_of(one)
    ]
    if tags:
        connection.execute(insert(workflow_tags), tags)


def mark_workflows_deleted(
    connection: Connection, place: Place, uids: Collection[str], now: datetime
) -> None:
    """Note that the cluster has these workflows no longer; their rows stay."""
    where = place_id(connection, place)
    for some in _parts(uids):
        gone = and_(
            workflows.c.namespace_id == where, workflows.c.uid.in_(some), workflows.c.deleted_at.is_(None)
        )
        connection.execute(update(workflows).where(gone).values(deleted_at=rows.micros(now)))


@dataclass(frozen=True, slots=True)
class Removal:
    """What a step of retention did: how many it removed, and after which it goes on; None if it is done."""

    removed: int
    after: tuple[int, int] | None


def remove_runs(
    connection: Connection,
    place: Place,
    before: datetime,
    after: tuple[int, int],
    keep: Collection[str],
    most: int = _AT_ONCE,
) -> Removal:
    """Remove some executions that ended before a time, the oldest first, but those with the UIDs in `keep`.

    `after` is the end and the key of the last one that was looked at.
    """
    where = place_id(connection, place)
    ended, key = executions.c.ended_at, executions.c.id
    later = (ended > after[0]) | ((ended == after[0]) & (key > after[1]))
    oldest = (
        select(key, executions.c.uid, ended)
        .where(executions.c.namespace_id == where, ended < rows.micros(before), later)
        .order_by(ended, key)
        .limit(most)
    )
    found = connection.execute(oldest).all()
    removed = [one.id for one in found if one.uid not in keep]
    if removed:
        connection.execute(delete(executions).where(executions.c.id.in_(removed)))
        connection.execute(update(archive).values(removals=archive.c.removals + 1))
    last = found[-1] if len(found) == most else None
    return Removal(len(removed), (last.ended_at, last.id) if last else None)


def end_of_the_newest_beyond(connection: Connection, places: Sequence[Place], most: int) -> int | None:
    """When the newest of those executions ended that are more than `most`; None if there are not so many."""
    mine = executions.c.namespace_id.in_([place_id(connection, place) for place in places])
    number = connection.execute(select(func.count()).select_from(executions).where(mine)).scalar_one()
    if number <= most:
        return None  # most often: of several namespaces no index has the order
    found = (
        select(executions.c.ended_at).where(mine).order_by(executions.c.ended_at.desc()).offset(most).limit(1)
    )
    return connection.execute(found).scalar()


def remove_unused(connection: Connection, place: Place) -> None:
    """Remove what only executions needed that are gone: deleted workflows, and revisions."""
    where = place_id(connection, place)
    mine = executions.c.namespace_id == where
    runs_of = select(executions.c.id).where(
        mine, executions.c.workflow == workflows.c.name, executions.c.workflow_uid == workflows.c.uid
    )
    gone = and_(workflows.c.namespace_id == where, workflows.c.deleted_at.is_not(None))
    connection.execute(delete(workflows).where(gone, not_(runs_of.exists())))
    users = select(executions.c.id).where(mine, executions.c.revision == revisions.c.name)
    connection.execute(delete(revisions).where(revisions.c.namespace_id == where, not_(users.exists())))


def _parts(values: Iterable[str]) -> Iterable[list[str]]:
    them = list(values)
    for begin in range(0, len(them), _AT_ONCE):
        yield them[begin : begin + _AT_ONCE]
