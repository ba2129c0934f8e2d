"""One execution by its id, in the cluster or in the archive."""

from __future__ import annotations

from dataclasses import dataclass

from nightcrawler_api.archive.contract import ArchivedExecution, History, split_alias
from nightcrawler_api.audit import trail
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import HistoryUnavailable, StateConflict
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.protection import Protection
from nightcrawler_api.state.runs import Runs
from nightcrawler_crds.errors import NotFound
from nightcrawler_crds.kube.views import ExecutionView


@dataclass(frozen=True, slots=True)
class Found:
    """An execution; `row` is what the archive has of it, if only that has it."""

    view: ExecutionView
    row: ArchivedExecution | None = None


class Finder:
    """Finds executions: first in the cache, then in the archive, then in the cluster itself.

    Most executions that are not cached are archived; few were created a moment ago by another replica.
    """

    def __init__(self, cluster: ClusterCache, guard: Guard, history: History | None) -> None:
        self._cluster = cluster
        self._guard = guard
        self._history = history

    async def of_workflow(
        self, workflow: str, identifier: str, caller: Caller, operation: Operation
    ) -> tuple[WorkflowEntry, Found]:
        """A workflow and one of its executions, for an operation.

        Raises:
            NotFound: There is no such workflow that the caller sees, or it has no such execution.
            NotAllowed: The caller sees it, and may not do that.
            HistoryUnavailable: The cluster does not have it, and the archive cannot be read.
        """
        entry = await self._guard.workflow(workflow, caller, operation)
        if (view := self._cached(entry.runs, identifier)) is not None:
            return entry, Found(view)
        row, problem = await self._archived(identifier, entry)
        if row is not None:
            return entry, Found(row.view, row)
        try:
            entry, view = await self._guard.execution(workflow, identifier, caller, operation)
        except NotFound:
            if problem is not None:
                raise problem from None
            raise
        return entry, Found(view)

    async def any(self, identifier: str, caller: Caller, operation: Operation) -> Found:
        """An execution, whatever has become of its workflow; raises as `of_workflow` does."""
        index = self._cluster.index
        if (view := self._cached(index.runs, identifier)) is not None:
            run = index.runs.run(*view.metadata.key)
            if run is None or not await self._guard.may(caller, run.protection, operation):
                trail.hidden(trail.of_execution(view))
                raise _none(identifier)
            return Found(view)
        row, problem = await self._archived(identifier, None)
        if row is not None:
            if not await self._guard.may(caller, self._protection(row), operation):
                trail.hidden(trail.of_execution(row.view))
                raise _none(identifier)
            return Found(row.view, row)
        if problem is not None:
            raise problem
        raise _none(identifier)

    def _protection(self, row: ArchivedExecution) -> Protection:
        """That of an archived execution: its workflow's, or nobody's if that is gone."""
        key = (row.view.metadata.namespace, row.view.spec.workflow_ref.name)
        entry = self._cluster.index.workflow(key)
        if entry is not None and entry.view.metadata.uid == row.workflow_uid:
            return entry.protection
        return self._cluster.index.protections.of_orphans(key[0])

    async def in_cluster(
        self, workflow: str, identifier: str, caller: Caller, operation: Operation
    ) -> ExecutionView:
        """An execution that may be changed; raises `StateConflict` for one that only the archive has."""
        _, found = await self.of_workflow(workflow, identifier, caller, operation)
        if found.row is not None:
            raise StateConflict(f"the execution {identifier!r} has ended, and only the archive still has it")
        return found.view

    async def is_archived(self, identifier: str) -> bool:
        """Whether the archive has an execution, as far as it can be read."""
        row, _ = await self._archived(identifier, None)
        return row is not None

    def _cached(self, runs: Runs, identifier: str) -> ExecutionView | None:
        namespace, own = self._guard.ids.key(identifier)
        name, uid = split_alias(own)
        view = runs.get(namespace, name)
        return view if view is not None and view.metadata.uid.startswith(uid) else None

    async def _archived(
        self, identifier: str, workflow: WorkflowEntry | None
    ) -> tuple[ArchivedExecution | None, HistoryUnavailable | None]:
        namespace, own = self._guard.ids.key(identifier)
        of = None if workflow is None else workflow.view.metadata
        if self._history is None or (of is not None and of.namespace != namespace):
            return None, None
        try:
            return await self._history.execution(namespace, own, None if of is None else of.uid), None
        except HistoryUnavailable as error:
            return None, error


def _none(identifier: str) -> NotFound:
    return NotFound(f"there is no execution {identifier!r}")
