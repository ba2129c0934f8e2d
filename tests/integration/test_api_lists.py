"""Lists over REST: filters, orders and cursors, of workflows and of executions across them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.builders import an_environment, an_execution
from tests.support.facade import Json, Served, environments
from tests.support.polling import eventually

STEP: Json = {"name": "a", "image": "busybox:1"}
DAY = "2025-07-10T"


@pytest.fixture(scope="module")
def runs(served: Served) -> Iterator[dict[str, str]]:
    """Runs of two workflows, by letters, oldest first, and the workflows: one with tags, and another."""
    with environments(served, an_environment("virginia", aliases=["awsVirginia"]), an_environment("ohio")):
        tagged = served.create(
            name="Tagged", steps=[STEP], tags=["gpu", "nightly"], environments=["awsVirginia"]
        )
        other = served.create(
            name="Other", steps=[STEP], tags=["gpu"], environments=["ohio"], priority="high"
        )
        there = {"tagged": tagged, "other": other}
        for letter, of in zip("abcd", (tagged, tagged, other, other), strict=True):
            there[letter] = served.execute(of)
        served.apply(an_execution("never-defined", "orphan", environment="ohio", executor="ann"))
        served.report(there["b"], phase="Running", environment="virginia", startTime=DAY + "10:00:00Z")
        served.report(
            there["c"], phase="Completed", startTime=DAY + "10:00:01Z", completionTime=DAY + "10:05:01Z"
        )
        served.report(
            there["d"], phase="Failed", startTime=DAY + "11:00:00Z", completionTime=DAY + "11:01:00Z"
        )
        eventually(
            lambda: (
                len(of_all(served, status="failed")["executions"]) == 1
                and of_all(served, workflow="never-defined")["total"] == 1
                and of_all(served, status="completed")["total"] == 1
                and of_all(served, status="pending")["total"] == 2
            ),
            what="the facade to know all",
        )
        yield there


def of_all(served: Served, **query: object) -> Json:
    answer = served.http.get("/api/executions", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    read: Json = answer.json()
    return read


@pytest.mark.parametrize(
    ("query", "letters"),
    [
        ({}, "abcd?"),
        ({"status": "all"}, "abcd?"),
        ({"status": "running"}, "ab?"),
        ({"status": "pending"}, "a?"),
        ({"status": "failed"}, "d"),
        ({"environment": "awsVirginia"}, "b"),
        ({"environment": "virginia"}, "b"),
        ({"environment": "ohio"}, "?"),
        ({"executor": "ann"}, "?"),
        ({"executor": "anonymous"}, "abcd"),
        ({"tags": "gpu"}, "abcd"),
        ({"tags": ["gpu", "nightly"]}, "ab"),
        ({"from": DAY + "10:30:00Z", "to": "2025-07-11"}, "d"),
        ({"to": "2025-07-10T13:00:00+02:00"}, "bc"),
        ({"status": "", "environment": "", "from": ""}, "abcd?"),
    ],
)
def test_executions_of_all_workflows_are_filtered(
    served: Served, runs: dict[str, str], query: Json, letters: str
) -> None:
    wanted = {runs.get(letter, "orphan") for letter in letters}
    found = of_all(served, **query)
    assert {row["id"] for row in found["executions"]} == wanted
    assert found["total"] == len(wanted)


def test_a_row_names_its_workflow_and_the_duration_so_far(served: Served, runs: dict[str, str]) -> None:
    rows = {row["id"]: row for row in of_all(served)["executions"]}
    assert (rows[runs["b"]]["workflowId"], rows[runs["b"]]["workflow"]) == (runs["tagged"], "Tagged")
    assert rows[runs["c"]]["duration"] == "00:05:00"
    hours = int(rows[runs["b"]]["duration"].partition(":")[0])
    assert hours > 100, "it has been running since 2025"
    assert "duration" not in rows[runs["a"]]
    assert rows["orphan"]["workflowId"] == "never-defined"
    assert "workflow" not in rows["orphan"]


@pytest.mark.parametrize(
    ("sort", "letters"), [("startTime", "bcd"), ("-endTime", "dc"), ("duration", "dcb"), ("-duration", "bcd")]
)
def test_executions_are_sorted_by_a_field(
    served: Served, runs: dict[str, str], sort: str, letters: str
) -> None:
    found = [row["id"] for row in of_all(served, sort=sort)["executions"]]
    assert found[: len(letters)] == [runs[letter] for letter in letters]


@pytest.mark.parametrize("sort", ["-createdAt", "createdAt", "-duration", "endTime"])
def test_a_cursor_continues_where_the_page_ended_despite_new_executions(
    served: Served, runs: dict[str, str], sort: str
) -> None:
    expected = [row["id"] for row in of_all(served, sort=sort)["executions"]]
    first = of_all(served, sort=sort, limit=2)
    new = served.execute(runs["other"])
    second = of_all(served, sort=sort, limit=2, cursor=first["nextCursor"])
    last = of_all(served, sort=sort, limit=100, cursor=second["nextCursor"])
    found = [row["id"] for page in (first, second, last) for row in page["executions"]]
    assert [name for name in found if name != new] == expected
    assert "nextCursor" not in last
    served.cluster.kubectl("delete", "wfe", new, f"--namespace={served.namespace}")
    eventually(lambda: of_all(served)["total"] == len(expected), what="the new run to be gone")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"cursor": "bm90IG91cnM"}, "cursor"),
        ({"cursor": "WyIt"}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
        ({"sort": "name"}, "sort"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2025-13-01"}, "to"),
        ({"status": "waiting"}, "status"),
        ({"limit": 0}, "limit"),
    ],
)
def test_a_bad_query_is_refused_by_the_name_of_its_parameter(
    served: Served, query: Json, parameter: str
) -> None:
    answer = served.http.get("/api/executions", params=query)
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]


def test_a_cursor_belongs_to_one_order_and_excludes_an_offset(served: Served, runs: dict[str, str]) -> None:
    cursor = of_all(served, limit=1)["nextCursor"]
    for query in ({"sort": "duration"}, {"offset": 1}):
        answer = served.http.get("/api/executions", params={"cursor": cursor, **query})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] == "cursor"


def test_a_workflows_executions_have_the_same_filters(served: Served, runs: dict[str, str]) -> None:
    page = served.ask("GET", f"/{runs['tagged']}/executions", status="pending", limit=1)
    assert [row["id"] for row in page["executions"]] == [runs["a"]]
    first = served.ask("GET", f"/{runs['tagged']}/executions", limit=1)
    then = served.ask("GET", f"/{runs['tagged']}/executions", limit=1, cursor=first["nextCursor"])
    found = {page["executions"][0]["id"] for page in (first, then)}
    assert (first["total"], found) == (2, {runs["a"], runs["b"]})


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"tags": "nightly"}, ["tagged"]),
        ({"tags": "gpu"}, ["other", "tagged"]),
        ({"tags": ["gpu", "x"]}, []),
        ({"environment": "virginia"}, ["tagged"]),
        ({"creator": "anonymous"}, ["other", "tagged"]),
        ({"creator": "ann"}, []),
        ({"from": "2025-01-01", "to": "2999-01-01"}, ["other", "tagged"]),
        ({"to": "2025-01-01"}, []),
        ({"status": "all"}, ["other", "tagged"]),
        ({"sort": "name"}, ["other", "tagged"]),
        ({"sort": "-name"}, ["tagged", "other"]),
        ({"sort": "-priority"}, ["other", "tagged"]),
        ({"sort": "createdAt"}, ["tagged", "other"]),
    ],
)
def test_workflows_are_filtered_and_sorted(
    served: Served, runs: dict[str, str], query: Json, names: list[str]
) -> None:
    expected = [runs[name] for name in names]
    page = served.ask("GET", **query)
    found = [row["id"] for row in page["workflows"]]
    # Two that are created in the same second are by descending id.
    assert (
        found == expected if "sort" in query and "reated" not in query["sort"] else set(expected) == {*found}
    )
    assert page["total"] == len(expected)
    if len(expected) > 1:
        first = served.ask("GET", **query, pageSize=1)
        second = served.ask("GET", **query, pageSize=1, cursor=first["nextCursor"])
        assert [first["workflows"][0]["id"], second["workflows"][0]["id"]] == found
        assert "nextCursor" not in second
