"""What an operator leaves for screens: revisions and their differences, timelines, its own state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localcluster import LocalCluster
from tests.support.facade import Json, Served
from tests.support.operator import OperatorProcess, operators_in
from tests.support.polling import eventually

STEPS: list[Json] = [{"name": name, "image": "busybox:1"} for name in ("prepare", "train")]


@pytest.fixture(scope="module")
def leader(
    cluster: LocalCluster, nodes: object, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of the namespace that the facade serves."""
    with operators_in(cluster, served.namespace, tmp_path_factory.mktemp("operator")) as made:
        yield made.start()


def ended(served: Served, workflow: str, **asked: object) -> str:
    """A run that has completed."""
    run = served.execute(workflow, **asked)
    path = f"/{workflow}/executions/{run}"
    eventually(lambda: served.ask("GET", path)["status"] == "completed", what="its end")
    return run


def test_each_content_that_ran_is_a_revision_and_two_can_be_compared(
    served: Served, leader: OperatorProcess
) -> None:
    workflow = served.create(steps=STEPS, config={"retries": 1})
    for _ in range(2):
        ended(served, workflow)
    served.ask("PUT", f"/{workflow}", {"description": "another text makes no other revision"})
    ended(served, workflow)
    steps = [{"name": "prepare", "image": "busybox:2"}, {"name": "check", "image": "busybox:1"}]
    served.ask("PUT", f"/{workflow}", {"steps": steps, "config": {"retries": None}})
    (first,) = served.ask("GET", f"/{workflow}/revisions")["revisions"]
    assert (first["generation"], first["current"], first["executions"]) == (1, False, 3)
    difference = served.ask("GET", f"/{workflow}/revisions/{first['id']}/difference")
    assert (difference["old"], difference["new"]) == (first["id"], "latest")
    assert difference["differences"] == [
        {"path": "/steps/prepare/image", "old": "busybox:1", "new": "busybox:2"},
        {"path": "/steps/train", "old": STEPS[1]},
        {"path": "/steps/check", "new": steps[1]},
        {"path": "/config/retries", "old": 1},
    ]

    ended(served, workflow)
    latest, old = served.ask("GET", f"/{workflow}/revisions")["revisions"]
    assert old == first
    assert (latest["generation"], latest["current"], latest["executions"]) == (3, True, 1)
    path = f"/{workflow}/revisions/{old['id']}/difference"
    assert served.ask("GET", path, to=latest["id"])["differences"] == difference["differences"]
    assert served.ask("GET", f"/{workflow}/revisions/{latest['id']}/difference")["differences"] == []
    shown = served.ask("GET", f"/{workflow}/revisions/{old['id']}")
    assert {key: shown[key] for key in old} == old
    assert shown["content"]["steps"] == STEPS


def test_revisions_are_paged_by_number_and_by_cursor(served: Served, leader: OperatorProcess) -> None:
    workflow = served.create(steps=STEPS)
    for turn in range(3):
        served.ask("PUT", f"/{workflow}", {"config": {"retries": turn}})
        ended(served, workflow)
    whole = served.ask("GET", f"/{workflow}/revisions")
    assert (whole["total"], whole["page"], whole["pageSize"]) == (3, 1, 10)
    assert "nextCursor" not in whole
    ids = [one["id"] for one in whole["revisions"]]
    assert [one["generation"] for one in whole["revisions"]] == [4, 3, 2]
    for sort, expected in (("-generation", ids), ("generation", ids[::-1])):
        pages = [
            served.ask("GET", f"/{workflow}/revisions", sort=sort, page=number, pageSize=2)["revisions"]
            for number in (1, 2, 3)
        ]
        assert [[one["id"] for one in page] for page in pages] == [expected[:2], expected[2:], []]
        first = served.ask("GET", f"/{workflow}/revisions", sort=sort, pageSize=2)
        rest = served.ask("GET", f"/{workflow}/revisions", sort=sort, cursor=first["nextCursor"])
        assert [one["id"] for one in first["revisions"] + rest["revisions"]] == expected
    times = [
        one["createdAt"] for one in served.ask("GET", f"/{workflow}/revisions", sort="createdAt")["revisions"]
    ]
    assert times == sorted(times)
    refused = served.ask("GET", f"/{workflow}/revisions", code=422, cursor="x", page=2)
    assert refused["errors"][0]["parameter"] == "cursor"


def test_a_revision_of_another_workflow_or_of_none_is_not_found(
    served: Served, leader: OperatorProcess
) -> None:
    workflow, other = served.create(steps=STEPS), served.create(steps=STEPS)
    ended(served, other)
    (foreign,) = served.ask("GET", f"/{other}/revisions")["revisions"]
    for name in (foreign["id"], "nothing", "Not%20a%20name"):
        detail = served.refused("GET", f"/{workflow}/revisions/{name}", code=404)["detail"]
        assert f"GET /api/workflows/{workflow}/revisions lists those it has" in detail
    served.refused("GET", f"/{workflow}/revisions/..%2Fdeployments", code=404)
    assert served.ask("GET", f"/{workflow}/revisions")["revisions"] == []
    served.refused("GET", "/nothing/revisions", code=404)


def test_revisions_have_an_etag_that_changes_with_them(served: Served, leader: OperatorProcess) -> None:
    workflow = served.create(steps=STEPS)
    path = f"/api/workflows/{workflow}/revisions"
    tag = served.http.get(path).headers["etag"]
    assert served.http.get(path, headers={"If-None-Match": tag}).status_code == 304
    ended(served, workflow)
    assert served.http.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_timeline_has_every_step_with_its_wait_and_the_path_that_took_longest(
    served: Served, leader: OperatorProcess
) -> None:
    graph = [*STEPS, {"name": "report", "image": "busybox:1", "dependsOn": ["prepare", "train"]}]
    workflow = served.create(steps=graph)
    run = ended(served, workflow)
    seen = served.ask("GET", f"/{workflow}/executions/{run}/timeline")
    steps = {one["name"]: one for one in seen["steps"]}
    assert list(steps) == ["prepare", "train", "report"]
    assert steps["report"]["dependsOn"] == ["prepare", "train"]
    last = max(steps["prepare"]["endTime"], steps["train"]["endTime"])
    assert steps["report"]["readyTime"] == last
    for step in steps.values():
        assert step["readyTime"] <= step["startTime"] <= step["endTime"] <= seen["endTime"]
        assert step["attempt"] == 1
        assert step["waitSeconds"] >= 0
    assert seen["criticalPath"][-1] == "report"
    assert len(seen["criticalPath"]) == 2
    assert seen["createdAt"] <= seen["acceptedAt"] <= seen["endTime"]
    served.refused("GET", f"/{workflow}/executions/nothing/timeline", code=404)


def test_the_status_names_the_operator_and_how_long_it_has_been_silent(
    served: Served, leader: OperatorProcess
) -> None:
    def status() -> Json:
        answer = served.http.get("/api/status")
        assert answer.status_code == 200
        read: Json = answer.json()
        return read

    eventually(lambda: status()["healthy"], what="all to be well")
    seen = status()
    assert seen["operator"]["leader"] == leader.leader
    assert seen["operator"]["version"] == seen["version"]
    assert seen["apiServer"]["version"].startswith("v1.")
    assert {one["kind"]: one["unreadable"] for one in seen["caches"]} == {
        "workflows": 0,
        "workflowexecutions": 0,
        "environments": 0,
        "computeprofiles": 0,
    }

    leader.stop()
    try:
        eventually(lambda: not status()["healthy"], what="it to be missed")
        assert status()["operator"]["working"] is False
    finally:
        leader.start()
