"""One execution by its id, in the cluster or in the archive."""

from __future__ import annotations

from dataclasses import dataclass

from nightcrawler_api.archive.contract import ArchivedExecution, History, split_alias
from nightcrawler_api.errors import HistoryUnavailable, StateConflict
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
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

    def __init__(self, cluster: ClusterCache, history: History | None) -> None:
        self._cluster = cluster
        self._history = history

    async def of_workflow(self, workflow: str, identifier: str) -> tuple[WorkflowEntry, Found]:
        """A workflow and one of its executions.

        Raises:
            NotFound: There is no such workflow, or it has no such execution.
            HistoryUnavailable: The cluster does not have it, and the archive cannot be read.
        """
        entry = await self._cluster.workflow(workflow)
        if (view := self._cached(entry.runs, identifier)) is not None:
            return entry, Found(view)
        row, problem = await self._archived(identifier, entry.view.metadata.uid)
        if row is not None:
            return entry, Found(row.view, row)
        try:
            entry, view = await self._cluster.execution(workflow, identifier)
        except NotFound:
            if problem is not None:
                raise problem from None
            raise
        return entry, Found(view)

    async def any(self, identifier: str) -> Found:
        """An execution, whatever has become of its workflow; raises as `of_workflow` does."""
        if (view := self._cached(self._cluster.index.runs, identifier)) is not None:
            return Found(view)
        row, problem = await self._archived(identifier, None)
        if row is not None:
            return Found(row.view, row)
        if problem is not None:
            raise problem
        raise NotFound(f"there is no execution {identifier!r}")

    async def in_cluster(self, workflow: str, identifier: str) -> ExecutionView:
        """An execution that may be changed; raises `StateConflict` for one that only the archive has."""
        _, found = await self.of_workflow(workflow, identifier)
        if found.row is not None:
            raise StateConflict(f"the execution {identifier!r} has ended, and only the archive still has it")
        return found.view

    async def is_archived(self, identifier: str) -> bool:
        """Whether the archive has an execution, as far as it can be read."""
        row, _ = await self._archived(identifier, None)
        return row is not None

    def _cached(self, runs: Runs, identifier: str) -> ExecutionView | None:
        name, uid = split_alias(identifier)
        view = runs.get(self._cluster.namespace, name)
        return view if view is not None and view.metadata.uid.startswith(uid) else None

    async def _archived(
        self, identifier: str, owner: str | None
    ) -> tuple[ArchivedExecution | None, HistoryUnavailable | None]:
        if self._history is None:
            return None, None
        try:
            return await self._history.execution(identifier, owner), None
        except HistoryUnavailable as error:
            return None, error
