"""Lists of executions in groups, and as tables for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nightcrawler_api.archive.contract import Figures
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.teams import NOBODY
from nightcrawler_api.auth.teamsfile import Teams
from nightcrawler_api.caller import unidentified
from nightcrawler_api.executions.queries import AllExecutionsParameters, GroupBy
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.ordering import Ordering
from nightcrawler_api.statistics.figures import in_list_order
from nightcrawler_api.statistics.schemas import ExecutionGroups, StatisticsOfAll, StatisticsParameters
from nightcrawler_api.statistics.service import StatisticsService
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.archives import desk, sqlite_archive
from tests.support.views import execution, workflow
from tests.unit.test_api_tags_of_reads import facade

CALLER = unidentified("anonymous")
NOW = datetime(2025, 8, 1, tzinfo=UTC)


def run(
    name: str,
    start: str,
    seconds: int | None = 60,
    *,
    of: str = "w",
    cost: tuple[float, str] | None = None,
    **spec: Any,
) -> ExecutionView:
    """A run that began at a time, and completed so many seconds later; None: that goes on."""
    began = datetime.fromisoformat(start)
    status: dict[str, Any] = {"phase": "Running", "startTime": start}
    if seconds is not None:
        ended = datetime.fromtimestamp(began.timestamp() + seconds, UTC)
        status |= {"phase": "Completed", "completionTime": f"{ended:%Y-%m-%dT%H:%M:%SZ}"}
    if cost is not None:
        status["cost"] = {"amount": cost[0], "currency": cost[1]}
    return execution(name, of=of, uid=name, created=start, spec=spec, **status)


RUNS = [
    run("a", "2025-06-30T23:00:00Z", 10, environment="gpu"),
    run("b", "2025-07-01T00:00:00Z", 500, of="v", executor="schedule", trigger={"type": "Schedule"}),
    run("c", "2025-07-01T12:00:00Z", 20, executor="Jane", environment="gpu"),
    run("d", "2025-07-02T00:00:00Z", None, executor="anonymous"),
]


@pytest.mark.parametrize(
    ("by", "asked", "expected"),
    [
        ("day", {}, [("2025-07-02", 1), ("2025-07-01", 2), ("2025-06-30", 1)]),
        ("month", {}, [("2025-07", 3), ("2025-06", 1)]),
        ("month", {"sort": "createdAt"}, [("2025-06", 1), ("2025-07", 3)]),
        ("status", {"sort": "-duration"}, [("running", 1), ("completed", 3)]),
        ("status", {"sort": "-endTime"}, [("completed", 3), ("running", 1)]),
        ("environment", {}, [(None, 2), ("gpu", 2)]),
        ("executor", {}, [("anonymous", 2), ("Jane", 1), ("System", 1)]),
        ("executor", {"limit": 1, "offset": 1}, [("Jane", 1)]),
        ("executor", {"environment": "gpu"}, [("Jane", 1), ("anonymous", 1)]),
        ("workflow", {}, [("w", 3), ("v", 1)]),
        ("namespace", {}, [("default", 4)]),
        ("status", {"namespace": "default", "limit": 1}, [("running", 1)]),
        ("status", {"namespace": "other"}, []),
    ],
)
async def test_groups_have_cached_and_archived_executions_in_the_order_of_the_list(
    by: GroupBy, asked: dict[str, Any], expected: list[tuple[str | None, int]], tmp_path: Path
) -> None:
    async with desk(sqlite_archive(tmp_path)) as kept:
        await kept.archive(*RUNS[:2])
        for view in RUNS[2:]:
            kept.cluster.cache_execution(view)
        service = StatisticsService(
            kept.cluster,
            Guard(kept.cluster, Teams(NOBODY)),
            default_user="anonymous",
            history=kept.reader,
        )
        page = await service.page(AllExecutionsParameters.model_validate(asked), by, CALLER)
        whole = await service.show(StatisticsParameters.model_validate({"groupBy": by}), CALLER)
    TypeAdapter(ExecutionGroups).validate_python(page, extra="forbid")
    field = "workflowId" if by == "workflow" else by
    assert [(group.get(field), group["executions"]) for group in page["groups"]] == expected
    assert page["total"] >= len(expected)
    assert sum(group["executions"] for group in whole["groups"]) == whole["executions"] == 4


async def test_groups_say_what_their_runs_have_cost_together_archived_or_not(tmp_path: Path) -> None:
    start = "2025-10-01T00:00:00Z"
    costs = {"a": (0.1, "EUR"), "b": (0.2, "EUR"), "c": (1.0, "USD"), "d": None}
    runs = [run(name, start, executor="Jane", cost=cost) for name, cost in costs.items()]
    runs.append(run("e", start, executor="John", cost=(2.0, "USD")))
    async with desk(sqlite_archive(tmp_path)) as kept:
        await kept.archive(runs[0], runs[4])
        for view in runs[1:4]:
            kept.cluster.cache_execution(view)
        guard = Guard(kept.cluster, Teams(NOBODY))
        service = StatisticsService(kept.cluster, guard, default_user="anonymous", history=kept.reader)
        asked = StatisticsParameters.model_validate({"groupBy": "executor"})
        shown = await service.show(asked, CALLER)
        table = await service.table(asked, CALLER)
    TypeAdapter(StatisticsOfAll).validate_python(shown, extra="forbid")
    jane, john = shown["groups"]
    assert jane["costs"] == [{"amount": 0.3, "currency": "EUR"}, {"amount": 1.0, "currency": "USD"}]
    assert "cost" not in jane
    assert (john["cost"], "costs" in john) == ({"amount": 2.0, "currency": "USD"}, False)
    first, second = csv.DictReader(io.StringIO(table))
    assert (first["cost.amount"], second["cost.amount"], second["cost.currency"]) == ("", "2.0", "USD")


times = st.integers(0, 5).map(float)
figures = st.builds(
    Figures,
    status=st.just("completed"),
    workflow=st.sampled_from("abc"),
    started=times,
    duration=st.none() | times,
    wait=st.none() | times,
    environment=st.none(),
    executor=st.none(),
)


@given(st.lists(figures, max_size=8), st.sampled_from(["startTime", "endTime", "duration"]), st.booleans())
def test_a_group_stands_where_its_first_execution_does(
    runs: list[Figures], field: str, descending: bool
) -> None:
    def value(one: Figures) -> float | None:
        match field:
            case "startTime":
                return one.started
            case "endTime":
                return None if one.duration is None else one.started + one.duration
            case _:
                live = NOW.timestamp() - one.started if one.wait is not None else None
                return live if one.duration is None else one.duration

    groups: dict[str, Sequence[Figures]] = {
        name: [one for one in runs if one.workflow == name] for name in sorted({one.workflow for one in runs})
    }
    ordered = in_list_order(groups, Ordering(field, descending), NOW)
    assert dict(ordered) == groups
    valued = [one for one in runs if value(one) is not None]
    valued.sort(key=lambda one: value(one) or 0.0, reverse=descending)
    listed = [*valued, *(one for one in runs if value(one) is None)]
    places = [min(listed.index(one) for one in members) for _, members in ordered]
    firsts = [value(listed[place]) for place in places]
    assert firsts == sorted(
        firsts, key=lambda one: (one is None, (-(one or 0.0) if descending else one or 0.0))
    )


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def fill(cluster: ClusterCache) -> None:
    cluster.cache_workflow(workflow("v", displayName='=cmd|"x"'))
    for view in RUNS:
        cluster.cache_execution(view)


async def test_a_table_has_the_fields_of_the_list_and_can_be_opened_safely() -> None:
    async with facade() as (client, cluster):
        fill(cluster)
        answer = await client.get("/api/executions?format=csv&sort=startTime&to=2025-07-09")
        listed = (await client.get("/api/executions?sort=startTime&to=2025-07-09")).json()["executions"]
        of_one = await client.get("/api/workflows/v/executions?format=csv")
        same = await client.get(
            "/api/workflows/v/executions?format=csv", headers={"If-None-Match": of_one.headers["etag"]}
        )
    table = rows(answer)
    assert [row["id"] for row in table] == [one["id"] for one in listed] == ["a", "b", "c", "d"]
    for row, one in zip(table, listed, strict=True):
        shown = {key: value for key, value in row.items() if value and key not in ("duration", "workflow")}
        assert shown == {key: value for key, value in one.items() if key not in ("duration", "workflow")}
    assert table[1]["workflow"] == '\'=cmd|"x"'
    assert answer.headers["content-disposition"] == 'attachment; filename="executions.csv"'
    assert "link" not in answer.headers
    assert [row["id"] for row in rows(of_one)] == ["b"]
    assert same.status_code == 304


async def test_a_long_table_goes_on_where_it_ended() -> None:
    found: list[str] = []
    async with facade() as (client, cluster):
        fill(cluster)
        path: str | None = "/api/executions?format=csv&sort=-startTime&limit=2&executor=&offset=1"
        while path is not None:
            answer = await client.get(path)
            found += [row["id"] for row in rows(answer)]
            link = answer.headers.get("link")
            path = link.removeprefix("<").removesuffix('>; rel="next"') if link else None
    assert found == ["d", "c", "b", "a"], "the newest, e, was left out by the offset"


async def test_statistics_and_groups_are_tables_too() -> None:
    async with facade() as (client, cluster):
        fill(cluster)
        whole = rows(await client.get("/api/statistics?format=csv&to=2025-07-09"))
        days = rows(await client.get("/api/statistics?format=csv&groupBy=day&to=2025-07-09"))
        groups = rows(await client.get("/api/executions?format=csv&groupBy=workflow&to=2025-07-09"))
    assert [(row["executions"], row["durationSeconds.max"]) for row in whole] == [("4", "500.0")]
    assert [(row["day"], row["executions"]) for row in days] == [
        ("2025-06-30", "1"),
        ("2025-07-01", "2"),
        ("2025-07-02", "1"),
    ]
    assert [(row["workflowId"], row["workflow"], row["executions"]) for row in groups] == [
        ("w", "w", "3"),
        ("v", '\'=cmd|"x"', "1"),
    ]
