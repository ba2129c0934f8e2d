"""Use case of timelines: show that of an execution."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pydantic import ValidationError

from nightcrawler_api.caller import Caller
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.timelines.schemas import Timeline
from nightcrawler_api.timelines.timeline import Dependencies, dependencies, timeline
from nightcrawler_crds import clock
from nightcrawler_crds.errors import ApiError
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import REVISIONS
from nightcrawler_crds.v1alpha1 import WorkflowSpec

_MOST_KEPT: Final = 100


class TimelineService:
    """Timelines of executions. What steps wait for is kept in memory: revisions never change."""

    def __init__(self, store: Store, cluster: ClusterCache) -> None:
        self._store = store
        self._cluster = cluster
        self._kept: OrderedDict[str, Dependencies] = OrderedDict()

    async def show(self, workflow: str, name: str, caller: Caller) -> Timeline:
        """The timeline of an execution, without dependencies if what it ran cannot be read."""
        _, execution = await self._cluster.execution(workflow, name)
        return timeline(execution, await self._dependencies(execution), clock.utcnow())

    async def _dependencies(self, execution: ExecutionView) -> Dependencies | None:
        revision = execution.status.revision
        if not revision:
            return None
        found = self._kept.get(revision)
        if found is None:
            try:
                view = await self._store.get(REVISIONS, self._cluster.namespace, revision, RevisionView)
                found = dependencies(WorkflowSpec.model_validate(view.data, extra="ignore"))
            except (ApiError, ValidationError):
                return None
            self._kept[revision] = found
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(revision)
        return found
