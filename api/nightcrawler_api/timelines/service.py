"""Use case of timelines: show that of an execution."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pydantic import ValidationError

from nightcrawler_api.archive.contract import History
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.executions.finding import Finder
from nightcrawler_api.executions.revisions import Revisions
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.timelines.schemas import Timeline
from nightcrawler_api.timelines.timeline import Dependencies, dependencies, timeline
from nightcrawler_crds import clock
from nightcrawler_crds.errors import ApiError
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import WorkflowSpec

_MOST_KEPT: Final = 100


class TimelineService:
    """Timelines of executions. What steps wait for is kept in memory: revisions never change."""

    def __init__(
        self, store: Store, cluster: ClusterCache, guard: Guard, history: History | None = None
    ) -> None:
        self._guard = guard
        self._finder = Finder(cluster, guard, history)
        self._revisions = Revisions(store, history)
        self._kept: OrderedDict[tuple[str, str], Dependencies] = OrderedDict()

    async def show(self, workflow: str, name: str, caller: Caller) -> Timeline:
        """The timeline of an execution, without dependencies if what it ran cannot be read."""
        _, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_TIMELINE)
        shown = timeline(found.view, await self._dependencies(found.view), clock.utcnow())
        if found.row is not None:
            shown["executionId"] = found.row.id
        return self._guard.ids.shown(shown, found.view.metadata.namespace)

    async def _dependencies(self, execution: ExecutionView) -> Dependencies | None:
        revision, namespace = execution.status.revision, execution.metadata.namespace
        if not revision:
            return None
        found = self._kept.get((namespace, revision))
        if found is None:
            try:
                content = await self._revisions.content(namespace, revision)
                found = dependencies(WorkflowSpec.model_validate(content, extra="ignore"))
            except (ApiError, HistoryUnavailable, ValidationError):
                return None
            self._kept[(namespace, revision)] = found
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end((namespace, revision))
        return found
