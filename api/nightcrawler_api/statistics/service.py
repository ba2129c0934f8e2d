"""Use case of statistics: show those of the executions that match."""

from __future__ import annotations

from typing import cast

from nightcrawler_api.caller import Caller
from nightcrawler_api.executions.queries import query_of
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.statistics.figures import day_of, grouped, statistics_of, workflow_of
from nightcrawler_api.statistics.schemas import StatisticsGroup, StatisticsOfAll, StatisticsParameters


class StatisticsService:
    """Statistics over the executions that the cluster has."""

    def __init__(self, cluster: ClusterCache, *, default_user: str) -> None:
        self._cluster = cluster
        self._default_user = default_user

    def show(self, asked: StatisticsParameters, caller: Caller) -> StatisticsOfAll:
        """The statistics of all that match, and of each group."""
        index = self._cluster.index
        runs = index.matching(index.runs, query_of(asked, self._default_user, self._cluster.environments()))
        groups: list[StatisticsGroup] = []
        if asked.group_by is not None:
            key = day_of if asked.group_by == "day" else workflow_of
            for name, members in grouped(runs, key).items():
                head = {"day": name} if asked.group_by == "day" else self._named(name)
                groups.append(cast("StatisticsGroup", {**head, **statistics_of(members)}))
        return {**statistics_of(runs), "groups": groups}

    def _named(self, workflow: str) -> dict[str, str]:
        entry = self._cluster.index.workflow((self._cluster.namespace, workflow))
        return {"workflowId": workflow} | ({"workflow": entry.name} if entry else {})
