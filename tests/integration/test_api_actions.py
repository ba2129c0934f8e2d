"""Whole workflows over REST: paused and resumed, copied, exported; and statistics of their runs."""

from __future__ import annotations

from tests.support.cluster import a_namespace
from tests.support.facade import Json, Served
from tests.support.polling import eventually

SCRIPT = 'y\n\techo "1e3" # ü 🌙\n'
STEP: Json = {
    "name": "a",
    "image": "busybox:1",
    "command": ["sh", "-c", SCRIPT],
    "env": [{"name": "n", "value": "1e3"}],
}
DAILY: Json = {"schedule": {"type": "cron", "cron": "0 0 * * 1"}}


def test_a_workflow_is_paused_and_resumed_however_often(served: Served) -> None:
    workflow = served.create(steps=[STEP], config=DAILY)
    for action, suspend, status in (("pause", True, "inactive"), ("resume", False, "active")):
        for _ in range(2):
            answer = served.ask("POST", f"/{workflow}/{action}")
            assert (answer["id"], answer["status"]) == (workflow, status)
            assert served.stored("Workflow", workflow)["spec"]["suspend"] is suspend
    served.refused("POST", "/nothing/pause", code=404)


def test_a_copy_has_the_definition_and_is_paused_if_it_has_a_schedule(served: Served) -> None:
    workflow = served.create(name="Nightly", steps=[STEP], config=DAILY, tags=["x"])
    copy = served.ask("POST", f"/{workflow}/clone", code=201)
    assert copy["name"] == "Copy of Nightly"
    stored, other = (served.stored("Workflow", one)["spec"] for one in (copy["id"], workflow))
    assert stored == {**other, "displayName": "Copy of Nightly", "suspend": True}
    plain = served.create(steps=[STEP])
    named = served.ask("POST", f"/{plain}/clone", {"name": "Mine"}, code=201)
    assert (named["name"], "suspend" in served.stored("Workflow", named["id"])["spec"]) == ("Mine", False)
    served.refused("POST", f"/{plain}/clone", {"name": ""}, code=422)


def test_what_is_exported_is_applied_by_kubectl_as_it_is(served: Served) -> None:
    workflow = served.create(name="yes", description="null", steps=[STEP], tags=["y", "0o7", "2025-07-10"])
    answer = served.http.get(f"/api/workflows/{workflow}/export")
    assert answer.headers["content-type"].startswith("application/yaml")
    with a_namespace(served.cluster) as elsewhere:
        served.cluster.kubectl("apply", f"--namespace={elsewhere}", "-f", "-", stdin=answer.text)
        path = f"/apis/nightcrawler.dev/v1alpha1/namespaces/{elsewhere}/workflows/{workflow}"
        assert served.cluster.api.get(path)["spec"] == served.stored("Workflow", workflow)["spec"]


def test_statistics_count_what_has_ended_and_how_long_it_took(served: Served) -> None:
    workflow = served.create(name="Counted", steps=[STEP], tags=["counted"])
    for minute, phase in (("01", "Completed"), ("03", "Completed"), ("05", "Failed")):
        run = served.execute(workflow)
        times = {"startTime": "2099-07-10T10:00:00Z", "completionTime": f"2099-07-10T10:{minute}:00Z"}
        served.report(run, phase=phase, **times)
    served.execute(workflow)

    def shown(**query: str) -> Json:
        answer = served.http.get("/api/statistics", params={"tags": "counted", **query})
        read: Json = answer.json()
        return read

    eventually(lambda: shown()["failed"] == 1, what="all to be known")
    figures = shown()
    assert {
        word: figures[word] for word in ("executions", "running", "completed", "failed", "cancelled")
    } == {
        "executions": 4,
        "running": 1,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
    }
    assert figures["successRate"] == 0.6667
    assert figures["durationSeconds"] == {"mean": 120.0, "median": 60.0, "p95": 180.0, "max": 180.0}
    (group,) = shown(groupBy="workflow")["groups"]
    assert (group["workflowId"], group["workflow"], group["executions"]) == (workflow, "Counted", 4)
    assert [
        one["day"] for one in shown(groupBy="day", to="2099-07-11", **{"from": "2099-01-01"})["groups"]
    ] == ["2099-07-10"]
