"""The filters of lists as SQL: conditions with named parameters, apart from the values of these.

So a statement is built once for all lists with the same filters: building takes longer than executing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Integer, Select, bindparam, func, or_, select

from nightcrawler_api.archive.rows import micros_of
from nightcrawler_api.archive.tables import executions, workflow_tags, workflows
from nightcrawler_api.state.runs import ExecutionQuery

Values = dict[str, Any]
"""The values of some filters by the names of their parameters, which are those of the filters."""

BEGIN: Final = "begin"
"""The filter of the earliest start."""
_WHERE: Final = "where"
_TAGS_NUMBER: Final = "tags_number"
"""No filter, but a second parameter of one."""
_TIMES: Final = (BEGIN, "end")


def values_of(where: int | None, query: ExecutionQuery, owner: str | None) -> Values:
    """The filters of a query in the namespace with this key, without its position."""
    found: Values = {_WHERE: where}
    if query.status is not None:
        found["status"] = query.status
    if query.workflow is not None:
        found["workflow"] = query.workflow[1]
    if owner is not None:
        found["owner"] = owner
    if query.environments is not None:
        found |= _one_of("environment", query.environments)
    if query.owners is not None:
        found["owners"] = sorted(query.owners)
    if query.executors is not None:
        found |= _one_of("executor", query.executors)
    if query.begin is not None:
        found[BEGIN] = micros_of(query.begin)
    if query.end is not None:
        found["end"] = micros_of(query.end)
    if query.tags:
        found |= {"tags": sorted(query.tags), _TAGS_NUMBER: len(query.tags)}
    return found


def _one_of(column: str, values: Collection[str | None]) -> Values:
    texts = sorted(value for value in values if value)
    if None in values:
        return {f"{column}_or_none": texts}
    return {column: texts[0]} if len(texts) == 1 else {f"{column}s": texts}


def conditions(
    names: Iterable[str], *, in_order: bool = False, suffix: str = ""
) -> list[ColumnElement[bool]]:
    """The conditions of the filters with these names; their parameters have the names with the suffix.

    With `in_order`, an index in the order of the list is to be used, and not one that finds all rows of some
    time, which then have to be sorted.
    """
    return [_condition(name, in_order, suffix) for name in names if name != _TAGS_NUMBER]


def _condition(name: str, in_order: bool, suffix: str) -> ColumnElement[bool]:
    if name == "tags":
        return executions.c.workflow_uid.in_(_tagged(suffix))
    value: BindParameter[Any] = bindparam(name + suffix, expanding=name in _LISTS)
    if in_order and name in _TIMES:
        started = executions.c.started_at + 0  # no index has this
        return started >= value if name == BEGIN else started < value
    return _CONDITIONS[name](value)


def _or_none(column: ColumnElement[Any]) -> Callable[[BindParameter[Any]], ColumnElement[bool]]:
    return lambda values: or_(column.in_(values), column == "", column.is_(None))


_c = executions.c
_CONDITIONS: Final[dict[str, Callable[[BindParameter[Any]], ColumnElement[bool]]]] = {
    _WHERE: lambda value: _c.namespace_id == value,
    "status": lambda value: _c.status == value,
    "workflow": lambda value: _c.workflow == value,
    "owner": lambda value: _c.workflow_uid == value,
    "owners": _c.workflow_uid.in_,
    "environment": lambda value: _c.environment == value,
    "environments": _c.environment.in_,
    "environment_or_none": _or_none(_c.environment),
    "executor": lambda value: _c.executor == value,
    "executors": _c.executor.in_,
    "executor_or_none": _or_none(_c.executor),
    BEGIN: lambda value: _c.started_at >= value,
    "end": lambda value: _c.started_at < value,
}
_LISTS: Final = {"owners", "environments", "environment_or_none", "executors", "executor_or_none"}


def _tagged(suffix: str) -> Select[Any]:
    """The UIDs of workflows that have all of some tags."""
    tags: BindParameter[Any] = bindparam(f"tags{suffix}", expanding=True)
    number: BindParameter[int] = bindparam(_TAGS_NUMBER + suffix, type_=Integer)
    where: BindParameter[Any] = bindparam(_WHERE + suffix)
    return (
        select(workflows.c.uid)
        .join(workflow_tags, workflow_tags.c.workflow_id == workflows.c.id)
        .where(workflows.c.namespace_id == where, workflow_tags.c.tag.in_(tags))
        .group_by(workflows.c.uid)
        .having(func.count() == number)
    )
