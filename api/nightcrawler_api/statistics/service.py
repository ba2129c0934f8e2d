"""Use case of statistics: show those of the executions that match, cached and archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from nightcrawler_api.archive.contract import Figures, History
from nightcrawler_api.caller import Caller
from nightcrawler_api.executions.queries import needs_archive, query_of
from nightcrawler_api.executions.union import without_row
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.statistics.figures import day_of, figures_of, grouped, statistics_of, workflow_of
from nightcrawler_api.statistics.schemas import StatisticsGroup, StatisticsOfAll, StatisticsParameters


class StatisticsService:
    """Statistics over executions."""

    def __init__(self, cluster: ClusterCache, *, default_user: str, history: History | None = None) -> None:
        self._cluster = cluster
        self._default_user = default_user
        self._history = history

    async def show(self, asked: StatisticsParameters, caller: Caller) -> StatisticsOfAll:
        """The statistics of all that match, and of each group."""
        runs = await self._figures(asked)
        groups: list[StatisticsGroup] = []
        if asked.group_by is not None:
            members = grouped(runs, day_of if asked.group_by == "day" else workflow_of)
            names = await self._names(list(members), asked) if asked.group_by == "workflow" else {}
            for name, some in members.items():
                head = {"day": name} if asked.group_by == "day" else self._named(name, names)
                groups.append(cast("StatisticsGroup", {**head, **statistics_of(some)}))
        return {**statistics_of(runs), "groups": groups}

    async def _figures(self, asked: StatisticsParameters) -> list[Figures]:
        query = query_of(asked, self._default_user, self._cluster.environments())
        index = self._cluster.index
        if self._history is None or not needs_archive(asked):
            return [figures_of(run) for run in index.matching(index.runs, query)]
        archived, upto = await self._history.figures(query)
        return [*archived, *map(figures_of, without_row(index.matching(index.runs, query), upto))]

    async def _names(self, workflows: Sequence[str], asked: StatisticsParameters) -> Mapping[str, str]:
        """The last known names for people of workflows that are gone."""
        gone = [
            name for name in workflows if not self._cluster.index.workflow((self._cluster.namespace, name))
        ]
        if self._history is None or not gone or not needs_archive(asked):
            return {}
        return await self._history.workflow_names(gone)

    def _named(self, workflow: str, names: Mapping[str, str]) -> dict[str, str]:
        entry = self._cluster.index.workflow((self._cluster.namespace, workflow))
        called = entry.name if entry else names.get(workflow)
        return {"workflowId": workflow} | ({"workflow": called} if called else {})
