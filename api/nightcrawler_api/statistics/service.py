"""Use case of statistics: show those of the executions that match, cached and archived.

There may be hundreds of thousands, so threads count them, while others are served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from nightcrawler_api.archive.contract import Figures, History
from nightcrawler_api.auth.guard import Guard, Seen
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.csvtables import columns_of, to_csv
from nightcrawler_api.executions.queries import (
    MOST_ROWS,
    AllExecutionsParameters,
    ExecutionFilters,
    GroupBy,
    needs_archive,
    query_of,
)
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.runs import ExecutionQuery, Run
from nightcrawler_api.statistics.figures import figures_of, grouped, in_list_order, statistics_of
from nightcrawler_api.statistics.schemas import (
    ExecutionGroups,
    Statistics,
    StatisticsGroup,
    StatisticsOfAll,
    StatisticsParameters,
)
from nightcrawler_crds import clock

_FIELDS: Final[Mapping[str, Sequence[str]]] = {"workflow": ("workflowId", "workflow")} | {
    by: (by,) for by in ("day", "month", "namespace", "status", "environment", "executor")
}
"""The columns of a table that say what a group has in common."""


class StatisticsService:
    """Statistics over executions."""

    def __init__(
        self, cluster: ClusterCache, guard: Guard, *, default_user: str, history: History | None = None
    ) -> None:
        self._cluster = cluster
        self._guard = guard
        self._default_user = default_user
        self._history = history

    async def show(self, asked: StatisticsParameters, caller: Caller) -> StatisticsOfAll:
        """The statistics of all that match, and of each group."""
        seen = await self._guard.seen(caller, Operation.SHOW_STATISTICS)
        runs = await self._figures(asked, seen)
        groups: list[StatisticsGroup] = []
        if asked.group_by is not None:
            found = await asyncio.to_thread(grouped, runs, asked.group_by, self._default_user)
            groups = await self._groups(list(found.items()), asked.group_by, asked)
        of_all: Statistics = await asyncio.to_thread(statistics_of, runs)
        return {**of_all, "groups": groups}

    async def table(self, asked: StatisticsParameters, caller: Caller) -> str:
        """The same as CSV: a line for each group, or one for all that match."""
        shown = await self.show(asked, caller)
        columns = [*_FIELDS.get(asked.group_by or "", ()), *columns_of(Statistics)]
        return to_csv(columns, shown["groups"] if asked.group_by is not None else [shown])

    async def page(self, asked: AllExecutionsParameters, by: GroupBy, caller: Caller) -> ExecutionGroups:
        """A page of the groups of a list of executions."""
        seen = await self._guard.seen(caller, Operation.LIST_ALL_EXECUTIONS)
        query = self._query(asked, seen)
        groups = await asyncio.to_thread(grouped, await self._figures(asked, seen), by, self._default_user)
        ordered = in_list_order(groups, query.ordering, clock.utcnow())
        some = ordered[asked.offset : asked.offset + asked.limit]
        return {
            "groups": await self._groups(some, by, asked),
            "total": len(groups),
            "limit": asked.limit,
            "offset": asked.offset,
        }

    async def table_of_groups(self, asked: AllExecutionsParameters, by: GroupBy, caller: Caller) -> str:
        """The same as CSV, with a line for each group."""
        if "limit" not in asked.model_fields_set:
            asked = asked.model_copy(update={"limit": MOST_ROWS})
        shown = await self.page(asked, by, caller)
        return to_csv([*_FIELDS[by], *columns_of(Statistics)], shown["groups"])

    async def _groups(
        self, groups: Sequence[tuple[str, Sequence[Figures]]], by: GroupBy, asked: ExecutionFilters
    ) -> list[StatisticsGroup]:
        keys = [name for name, _ in groups]
        names = await self._names(keys, asked) if by == "workflow" else {}
        shown = await asyncio.to_thread(lambda: [statistics_of(members) for _, members in groups])
        return [
            cast("StatisticsGroup", {**self._head(name, by, names), **of})
            for name, of in zip(keys, shown, strict=True)
        ]

    def _head(self, name: str, by: GroupBy, names: Mapping[str, str]) -> dict[str, str]:
        """What the executions of a group have in common."""
        if by == "workflow":
            return self._named(name, names)
        return {by: name} if name else {}

    def _query(self, asked: ExecutionFilters, seen: Seen) -> ExecutionQuery:
        return query_of(asked, self._default_user, self._cluster.environments(), self._guard.ids, seen)

    async def _figures(self, asked: ExecutionFilters, seen: Seen) -> list[Figures]:
        query = self._query(asked, seen)
        index = self._cluster.index
        if self._history is None or not needs_archive(asked):
            return [self._figures_of(run) for run in index.matching(index.runs, query)]
        archived, upto = await self._history.figures(query)
        if self._cluster.others != ():
            await asyncio.to_thread(self._identify, archived)
        return [*archived, *map(self._figures_of, index.matching(index.runs, query, upto))]

    def _figures_of(self, run: Run) -> Figures:
        figures = figures_of(run)
        self._identify([figures])
        return figures

    def _identify(self, some: Iterable[Figures]) -> None:
        """Put the ids of workflows in place of their names."""
        home, of = self._cluster.namespace, self._guard.ids.of
        for figures in some:
            if figures.namespace != home:
                figures.workflow = of(figures.namespace, figures.workflow)

    async def _names(self, workflows: Sequence[str], asked: ExecutionFilters) -> Mapping[str, str]:
        """The last known names for people of workflows that are gone."""
        ids = self._guard.ids
        gone = [key for key in map(ids.key, workflows) if not self._cluster.index.workflow(key)]
        if self._history is None or not gone or not needs_archive(asked):
            return {}
        found = await self._history.workflow_names(gone)
        return {ids.of(*key): called for key, called in found.items()}

    def _named(self, workflow: str, names: Mapping[str, str]) -> dict[str, str]:
        entry = self._cluster.index.workflow(self._guard.ids.key(workflow))
        called = entry.name if entry else names.get(workflow)
        return {"workflowId": workflow} | ({"workflow": called} if called else {})
