"""Use cases of executions that only read: list, show; from the cache and the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar, cast

import msgspec

from nightcrawler_api.archive.contract import ArchivedRun, History
from nightcrawler_api.audit import trail
from nightcrawler_api.auth.guard import Guard, Seen
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.csvtables import columns_of, to_csv
from nightcrawler_api.executions import archived, presenter
from nightcrawler_api.executions.archived import Beside
from nightcrawler_api.executions.finding import Finder, Found
from nightcrawler_api.executions.forecasts import Forecasts
from nightcrawler_api.executions.live import NOTHING
from nightcrawler_api.executions.queries import (
    MOST_ROWS,
    AllExecutionsParameters,
    ExecutionParameters,
    needs_archive,
    query_of,
)
from nightcrawler_api.executions.schemas import (
    AllExecutionsList,
    AnyExecutionDetail,
    Execution,
    ExecutionDetail,
    ExecutionList,
    ExecutionOfWorkflow,
    Trace,
)
from nightcrawler_api.executions.steplogs import StepLogs
from nightcrawler_api.executions.union import Listed, part_of_both
from nightcrawler_api.executions.usage import LiveUsage
from nightcrawler_api.pagination import continued
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry, owner_of
from nightcrawler_api.state.ordering import Part
from nightcrawler_api.state.runs import Run, Runs
from nightcrawler_crds import clock
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.tracing.otlp import trace_request

R = TypeVar("R", Execution, ExecutionOfWorkflow)
_Around = tuple[ExecutionView | None, WorkflowEntry | None]
"""The execution of an archived run's name, and its workflow, as far as the cluster has them."""

_FIRST: Final = ("id", "workflowId", "workflow")
_COLUMNS: Final = (*_FIRST, *(name for name in columns_of(ExecutionOfWorkflow) if name not in _FIRST))


class ExecutionReader:
    """Executions of workflows as lists and details show them."""

    def __init__(
        self,
        cluster: ClusterCache,
        guard: Guard,
        logs: StepLogs,
        forecasts: Forecasts,
        usage: LiveUsage,
        *,
        default_user: str,
        history: History | None = None,
    ) -> None:
        self._logs = logs
        self._forecasts = forecasts
        self._usage = usage
        self._cluster = cluster
        self._guard = guard
        self._default_user = default_user
        self._history = history
        self._finder = Finder(cluster, guard, history)

    async def page(self, workflow: str, asked: ExecutionParameters, caller: Caller) -> ExecutionList:
        """A page of a workflow's executions."""
        entry = await self._guard.workflow(workflow, caller, Operation.LIST_EXECUTIONS)
        now = clock.utcnow()
        part = await self._part(lambda: entry.runs, entry, asked, now)
        shown: ExecutionList = {
            "executions": [self._as_json(one, now, self._row) for one in part.entries],
            "total": part.total,
            "limit": asked.limit,
            "offset": asked.offset,
        }
        return continued(shown, asked.sort, part.next)

    async def page_of_all(self, asked: AllExecutionsParameters, caller: Caller) -> AllExecutionsList:
        """A page of the executions of all workflows."""
        seen = await self._guard.seen(caller, Operation.LIST_ALL_EXECUTIONS)
        now = clock.utcnow()
        part = await self._part(lambda: self._cluster.index.runs, None, asked, now, seen)
        shown: AllExecutionsList = {
            "executions": [self._as_json(one, now, self._row_of_workflow) for one in part.entries],
            "total": part.total,
            "limit": asked.limit,
            "offset": asked.offset,
        }
        return continued(shown, asked.sort, part.next)

    async def table(
        self, workflow: str | None, asked: ExecutionParameters, caller: Caller
    ) -> tuple[str, str | None]:
        """The executions of one workflow, or of all, as CSV, and the cursor of what follows, if any does.

        It is made in a thread, since thousands of rows take a tenth of a second.
        """
        if "limit" not in asked.model_fields_set:
            asked = asked.model_copy(update={"limit": MOST_ROWS})
        now, index, entry, seen = clock.utcnow(), self._cluster.index, None, None
        if workflow is not None:
            entry = await self._guard.workflow(workflow, caller, Operation.LIST_EXECUTIONS)
        else:
            seen = await self._guard.seen(caller, Operation.LIST_ALL_EXECUTIONS)
        part = await self._part(lambda: entry.runs if entry else index.runs, entry, asked, now, seen)

        def written() -> str:
            return to_csv(_COLUMNS, (self._row_of_workflow(one, now) for one in part.entries))

        cursor = continued(dict[str, str](), asked.sort, part.next).get("nextCursor")
        return await asyncio.to_thread(written), cursor

    async def _part(
        self,
        runs: Callable[[], Runs],
        entry: WorkflowEntry | None,
        asked: ExecutionParameters,
        now: datetime,
        seen: Seen = None,
    ) -> Part[Listed]:
        query = query_of(asked, self._default_user, self._cluster.environments(), self._guard.ids, seen)
        index = self._cluster.index
        if self._history is None or not needs_archive(asked):
            cached = index.executions(runs(), asked.offset, asked.limit, query, now)
            return Part(list(cached.entries), cached.total, cached.next)
        if entry is not None:
            query = replace(query, workflow=entry.view.metadata.key)
        return await part_of_both(
            lambda upto: index.matching(runs(), query, upto),
            self._history,
            query,
            entry.view.metadata.uid if entry else None,
            offset=asked.offset,
            limit=asked.limit,
            now=now,
        )

    def _as_json(self, one: Listed, now: datetime, row: Callable[[Listed, datetime, _Around | None], R]) -> R:
        """An execution of a list; an archived one that has been shown before as the JSON that it was."""
        if isinstance(one, Run):
            return row(one, now, None)
        around = cached, entry = self._around(one)
        # Nothing else changes on which it depends how the run is shown; what has changed is another view.
        view, shown = entry and entry.view, one.shown
        if shown is None or shown[0] != row or shown[1] is not cached or shown[2] is not view:
            shown = one.shown = row, cached, view, msgspec.Raw(msgspec.json.encode(row(one, now, around)))
        return cast("R", shown[3])

    def _row(self, one: Listed, now: datetime, around: _Around | None = None) -> Execution:
        if isinstance(one, ArchivedRun):
            beside = _beside(one, *(around or self._around(one)))
            shown = archived.row(one.row, beside, self._default_user)
        else:
            shown = presenter.row(one.view, self._default_user, now)
        return self._guard.ids.shown(shown, one.order[1])

    def _row_of_workflow(
        self, one: Listed, now: datetime, around: _Around | None = None
    ) -> ExecutionOfWorkflow:
        namespace = one.order[1]
        if isinstance(one, ArchivedRun):
            beside = _beside(one, *(around or self._around(one)))
            shown = archived.row_of_workflow(one.row, beside, self._default_user)
        else:
            entry = self._cluster.index.workflow((namespace, one.view.spec.workflow_ref.name))
            named = presenter.named(entry, owner_of(one.view))
            shown = presenter.row_of_workflow(one.view, named, self._default_user, now)
        return self._guard.ids.shown(shown, namespace)

    def _around(self, one: ArchivedRun) -> _Around:
        namespace, name = one.order[1:]
        index = self._cluster.index
        return index.runs.get(namespace, name), index.workflow((namespace, one.row.workflow))

    async def show(self, workflow: str, name: str, caller: Caller, *, with_logs: bool) -> ExecutionDetail:
        """An execution of a workflow in full."""
        entry, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_EXECUTION)
        return await self._detail(found, entry, with_logs=with_logs)

    async def show_any(self, name: str, caller: Caller, *, with_logs: bool) -> AnyExecutionDetail:
        """An execution in full, whatever has become of its workflow."""
        found = await self._finder.any(name, caller, Operation.SHOW_ANY_EXECUTION)
        trail.read(trail.of_execution(found.view))
        meta = found.view.metadata
        entry = self._cluster.index.workflow((meta.namespace, found.view.spec.workflow_ref.name))
        shown = await self._detail(found, entry, with_logs=with_logs)
        owner = found.row.workflow_uid if found.row else owner_of(found.view)
        named = presenter.named(entry, owner, found.row.workflow_name if found.row else None)
        return presenter.with_workflow(shown, named)

    async def trace(self, workflow: str, name: str, caller: Caller) -> Trace:
        """The trace of an execution as it is recorded so far, as an OTLP request."""
        _, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_TRACE)
        return cast("Trace", trace_request(found.view, clock.utcnow()))

    async def _detail(self, found: Found, entry: WorkflowEntry | None, *, with_logs: bool) -> ExecutionDetail:
        view, logs = found.view, None
        order = found.row.order if found.row else _order_of(entry)
        if with_logs:
            steps = presenter.started_steps(view, order)
            logs = await self._logs.of_steps(view, steps, in_cluster=found.row is None)
        live = await self._usage.of(view) if found.row is None else NOTHING
        now = clock.utcnow()
        expected = self._forecasts.of_live(entry, view, now) if entry else None
        shown = presenter.detail(view, self._default_user, order, logs, now, expected, live)
        if found.row is not None:
            shown["id"], shown["archived"] = found.row.id, True
        return self._guard.ids.shown(shown, view.metadata.namespace)


def _beside(one: ArchivedRun, cached: ExecutionView | None, entry: WorkflowEntry | None) -> Beside:
    row = one.row
    return Beside(
        one.id_beside(cached),
        cached is None or cached.metadata.uid != row.uid,
        presenter.named(entry, row.workflow_uid, one.workflow_name),
    )


def _order_of(entry: WorkflowEntry | None) -> Sequence[str]:
    """The names of a workflow's steps, as it is now."""
    return [step["name"] for step in entry.view.spec.get("steps") or []] if entry else []
