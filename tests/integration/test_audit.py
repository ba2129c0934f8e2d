"""Who did what, end to end: rows of requests, of the schedule and of kubectl, and a database that is away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localcluster import LocalCluster
from tests.support.archives import sqlite_archive
from tests.support.builders import a_workflow
from tests.support.cluster import install_crds
from tests.support.facade import Json, serving
from tests.support.keeping import Kept, keeping
from tests.support.polling import eventually

pytestmark = pytest.mark.usefixtures("nodes")

STEP: Json = {"name": "a", "image": "busybox:1", "env": [{"name": "TOKEN", "value": "s3cret"}]}
SPAN = 30


@pytest.fixture
def kept(cluster: LocalCluster, tmp_path: Path) -> Iterator[Kept]:
    with keeping(cluster, tmp_path, sqlite_archive(tmp_path)) as made:
        yield made


def records(kept: Kept, **query: Any) -> list[Json]:
    """All records that match, the oldest first."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        answer = kept.served.http.get("/api/audit", params={"limit": 100, **query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["records"]
        if "nextCursor" not in page:
            return found[::-1]
        cursor = {"cursor": page["nextCursor"]}


def until(kept: Kept, count: int, **query: Any) -> list[Json]:
    """They, once there are so many."""
    return eventually(
        lambda: records(kept, **query),
        until=lambda found: len(found) >= count,
        within=SPAN,
        what=f"{count} records of {query}",
    )


def lines(kept: Kept) -> list[Json]:
    """The lines of records in the facade's log."""
    read = [json.loads(line) for line in kept.served.facade.log.splitlines() if line.startswith("{")]
    return [line for line in read if line.get("logger") == "nightcrawler_api.audit"]


def test_each_operation_over_rest_has_exactly_one_record_and_no_secret_is_in_any(kept: Kept) -> None:
    served = kept.served
    workflow = served.create(steps=[STEP], parameters=[{"name": "p", "default": "s3cret"}])
    other = {**STEP, "env": [{"name": "TOKEN", "value": "s3cret too"}]}
    served.ask("PUT", f"/{workflow}", {"steps": [other], "priority": "high"})
    served.ask("POST", f"/{workflow}/pause")
    served.refused("PUT", f"/{workflow}", {"priority": "highest"}, code=422)
    run = served.execute(workflow, parameters={"p": "s3cret"})
    served.ask("POST", f"/{workflow}/executions/{run}/cancel", code=202)
    copy = served.ask("POST", f"/{workflow}/clone", code=201)["id"]
    served.http.post("/api/executions/cancel", params={"status": "all"})
    served.ask("GET", f"/{workflow}")
    served.ask("DELETE", f"/{workflow}")
    served.refused("DELETE", f"/{workflow}", code=404)
    expected = [
        ("workflows.create", workflow, 201),
        ("workflows.update", workflow, 200),
        ("workflows.pause", workflow, 200),
        ("workflows.update", workflow, 422),
        ("executions.create", run, 201),
        ("executions.cancel", run, 202),
        ("workflows.clone", copy, 201),
        ("executions.cancelMany", "", 200),
        ("workflows.delete", workflow, 200),
        ("workflows.delete", workflow, 404),
    ]
    until(kept, len(expected))
    # What the facade did is seen in the cluster too, and is nobody else's; the marker was looked at after it.
    kept.team.apply(a_workflow("marker").step("a"))
    until(kept, 1, name="marker")
    found = [one for one in records(kept) if one["object"].get("name") != "marker"]
    assert [(one["action"], one["object"].get("name", ""), one["status"]) for one in found] == expected
    assert {(one["caller"], one["origin"]) for one in found} == {("anonymous", "rest")}
    assert [one["id"] for one in found] == [line["id"] for line in lines(kept) if line["origin"] == "rest"]
    assert found[1]["old"] == {"steps": [{"name": "a", "env": [{"name": "TOKEN", "value": "(hidden)"}]}]}
    assert found[1]["new"] == {**found[1]["old"], "priority": "high"}
    assert "s3cret" not in json.dumps([*found, *lines(kept)])
    assert "s3cret" not in kept.served.facade.log
    assert records(kept, workflow=workflow, allowed="false") == [found[3], found[9]]
    assert records(kept, requestId=found[5]["requestId"]) == [found[5]]


def test_what_kubectl_and_the_schedule_change_is_theirs_also_while_no_facade_runs(kept: Kept) -> None:
    cluster, facade = kept.served.cluster, kept.served.facade
    space = f"--namespace={kept.served.namespace}"
    kept.served.create(steps=[STEP])
    until(kept, 1)
    kept.team.apply(a_workflow("by-kubectl").step("a"))
    until(kept, 1, name="by-kubectl")
    patch = json.dumps({"spec": {"priority": "high"}})
    cluster.kubectl("patch", "wf", "by-kubectl", space, "--type=merge", "--patch", patch)
    until(kept, 2, name="by-kubectl")
    facade.stop()
    patch = json.dumps({"spec": {"description": "while nobody looked"}})
    cluster.kubectl("patch", "wf", "by-kubectl", space, "--type=merge", "--patch", patch)
    kept.team.apply(a_workflow("gone").step("a"))
    facade.start()
    until(kept, 3, name="by-kubectl")
    until(kept, 1, name="gone")
    facade.stop()
    cluster.kubectl("delete", "wf", "gone", space)
    facade.start()
    until(kept, 2, name="gone")
    for name, actions in (
        ("by-kubectl", ["workflows.create", "workflows.update", "workflows.update"]),
        ("gone", ["workflows.create", "workflows.delete"]),
    ):
        found = records(kept, name=name)
        assert [one["action"] for one in found] == actions
        assert {(one["caller"], one["origin"], one["status"]) for one in found} == {("unknown", "cluster", 0)}
    changed = records(kept, name="by-kubectl")
    assert (changed[1]["old"], changed[1]["new"]) == ({}, {"priority": "high"})

    schedule = {"type": "interval", "interval": "10 seconds", "start": "2025-01-01T00:00:00Z"}
    kept.served.create(name="Scheduled", steps=[STEP], config={"schedule": schedule})
    [run, *_] = until(kept, 1, caller="schedule")
    assert (run["action"], run["origin"], run["object"]["kind"]) == (
        "executions.create",
        "schedule",
        "WorkflowExecution",
    )
    assert records(kept, name=run["object"]["name"]) == [run], "and it is nobody else's too"


def test_a_database_that_is_away_delays_no_write_and_has_all_rows_afterwards(kept: Kept) -> None:
    served = kept.served
    served.create(name="before", steps=[STEP])
    until(kept, 1)
    with closing(sqlite3.connect(kept.url.removeprefix("sqlite:///"), isolation_level=None)) as away:
        away.execute("BEGIN EXCLUSIVE")
        for number in range(20):
            workflow = served.create(name=f"number {number}", steps=[STEP])
            served.ask("PUT", f"/{workflow}", {"priority": "high"})
        assert len(lines(kept)) == 41, "the lines are there at once"
        away.execute("ROLLBACK")
    found = until(kept, 41)
    assert [one["id"] for one in found] == [line["id"] for line in lines(kept)]
    assert "nightcrawler_api_audit_lost_total 0.0" in served.http.get("/metrics").text


def test_without_an_archive_there_are_lines_and_the_list_says_where(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with serving(cluster, tmp_path) as served:
        workflow = served.create(config={"security": {"auditLogging": True}})
        served.ask("GET", f"/{workflow}")
        refused = served.http.get("/api/audit")
        assert refused.status_code == 409
        assert "NIGHTCRAWLER_KEEP=archive" in refused.json()["detail"]
        written = [json.loads(line) for line in served.facade.log.splitlines() if line.startswith("{")]
    assert [line["action"] for line in written] == ["workflows.create", "workflows.get"]


def test_the_charts_audit_policy_names_who_used_kubectl_and_leaves_out_reports(tmp_path: Path) -> None:
    policy = Path(__file__).parents[2] / "charts/nightcrawler/files/audit-policy.yaml"
    log = tmp_path / "policy.log"
    arguments = {"kube-apiserver": [f"--audit-policy-file={policy}", f"--audit-log-path={log}"]}
    with LocalCluster.start(tmp_path / "cluster", users={"jane": ["team"]}, extra_args=arguments) as cluster:
        install_crds(cluster)
        manifest = a_workflow("by-jane").step("a").manifest()
        cluster.kubectl("create", "clusterrolebinding", "jane", "--clusterrole=cluster-admin", "--user=jane")
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest), user="jane")
        path = "/apis/nightcrawler.dev/v1alpha1/namespaces/default/workflows/by-jane"
        cluster.api.merge(f"{path}/status", {"status": {"active": 1}})
        cluster.api.delete(path)

        def logged() -> list[Json]:
            found = [json.loads(line) for line in log.read_text().splitlines()]
            ours = [one for one in found if one.get("objectRef", {}).get("resource") == "workflows"]
            return [one for one in ours if one["verb"] not in ("get", "list", "watch")]

        found = eventually(logged, until=lambda some: len(some) >= 2, what="what jane did in the audit log")
    assert [(one["verb"], one["user"]["username"]) for one in found][:1] == [("create", "jane")]
    assert {one["verb"] for one in found} == {"create", "delete"}
    assert all("requestObject" not in one for one in found)
