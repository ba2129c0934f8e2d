"""The archive of a facade that serves several namespaces, on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from localcluster import LocalCluster
from nightcrawler_api.keptlogs.record import Record, Where
from nightcrawler_api.keptlogs.store import LogStore
from nightcrawler_api.keptlogs.writer import Writer
from nightcrawler_api.logs.place import Place
from nightcrawler_crds import names
from tests.support.archives import sqlite_archive
from tests.support.builders import a_workflow
from tests.support.cluster import a_namespace
from tests.support.facade import Json, Served, give_rights, serving
from tests.support.operator import operators_in
from tests.support.polling import eventually
from tests.support.team import Team

pytestmark = pytest.mark.usefixtures("nodes")

STEP: Json = {"name": "one", "image": "busybox:1"}
LINE = b"2025-07-10T14:45:00.5Z hello from elsewhere"


def keep_log(cluster: LocalCluster, url: str, team: Team, run: str) -> None:
    """Keep the log of a run's step, as simulated nodes have none: as if it had been read while it ran."""
    uid = cluster.api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    where = Where(uid, team.namespace, team.execution(run)["metadata"]["uid"], "one", 1)

    async def write() -> None:
        writer = Writer(LogStore(url), where, Record("one", 1, complete=True), (32, 32))
        await writer.add(LINE, Place(1), after_gap=False)
        await writer.save()

    asyncio.run(write())


def runs_of(served: Served, **query: object) -> list[Json]:
    answer = served.http.get("/api/executions", params={"limit": 100, **query})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["total"] == len(shown["executions"])
    return list(shown["executions"])


def test_a_run_of_a_further_namespace_stays_with_its_log_also_when_the_namespace_is_deleted(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    logs = (tmp_path / "logs").as_uri()
    kept = {"keep": "archive,logs", "archive_url": sqlite_archive(tmp_path), "log_url": logs}
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(a_namespace(cluster))
        served = stack.enter_context(serving(cluster, tmp_path, namespaces=other, **kept))
        give_rights(cluster, other, served.namespace)
        operators = stack.enter_context(operators_in(cluster, other, tmp_path))
        operator = operators.make(keep=kept["keep"], namespaces=other, job_cleanup_after=0)
        operator.settings["namespace"] = served.namespace  # as the facade: its home is another namespace
        team, workflow = Team(cluster, other), f"{other}:wf"
        team.apply(a_workflow("wf", displayName="Elsewhere", history={"completed": 0}).step("one"))
        name = team.run("wf")
        run = f"{other}:{name}"
        keep_log(cluster, logs, team, name)
        operator.start()

        eventually(
            lambda: runs_of(served, namespace=other),
            until=lambda rows: [(row["id"], row.get("archived")) for row in rows] == [(run, True)],
            what="the run to be archived, noted, settled and pruned",
        )
        assert team.get(names.EXECUTIONS, name) is None
        operator.stop()
        of_home = served.execute(served.create(steps=[STEP]))
        served.report(of_home, phase="Completed", completionTime="2025-07-10T15:00:00Z")

        detail = served.ask("GET", f"/{workflow}/executions/{run}")
        assert (detail["id"], detail["workflowId"], detail["archived"]) == (run, workflow, True)
        assert [line["message"] for line in detail["stepExecutions"][0]["logs"]] == ["hello from elsewhere"]
        text = served.http.get(
            f"/api/workflows/{workflow}/executions/{run}/logs",
            params={"step": "one"},
            headers={"Accept": "text/plain"},
        ).text
        assert text == "hello from elsewhere\n"
        assert served.ask("GET", f"/{workflow}/executions/{run}/timeline")["executionId"] == run
        (revision,) = served.ask("GET", f"/{workflow}/revisions")["revisions"]
        assert revision["executions"] == 1
        again = served.ask("POST", f"/{workflow}/executions/{run}/rerun", code=201)["executionId"]
        assert again.startswith(f"{other}:")

        listed = [row["id"] for row in runs_of(served)]
        assert sorted(listed) == sorted([run, again, of_home])
        pages = [served.http.get("/api/executions", params={"limit": 1}).json()]
        while cursor := pages[-1].get("nextCursor"):
            pages.append(served.http.get("/api/executions", params={"limit": 1, "cursor": cursor}).json())
        assert [row["id"] for page in pages for row in page["executions"]] == listed
        groups = served.http.get("/api/statistics", params={"groupBy": "namespace"}).json()["groups"]
        assert {one["namespace"]: one["executions"] for one in groups} == {other: 2, served.namespace: 1}
        groups = served.http.get("/api/statistics", params={"groupBy": "workflow"}).json()["groups"]
        assert {one["workflowId"]: one["executions"] for one in groups}[workflow] == 2

        cluster.kubectl("delete", "namespace", other, "--wait=false")
        seen = eventually(
            lambda: runs_of(served, namespace=other),
            until=lambda rows: (
                len(rows) == 2 and all("archived" in row and "workflowDeleted" in row for row in rows)
            ),
            what="the namespace to be gone",
        )
        assert {row["id"]: row["status"] for row in seen} == {run: "completed", again: "cancelled"}
        served.facade.stop()
        served.facade.start()
        assert {row["id"] for row in runs_of(served)} == {run, again, of_home}
        answer = served.http.get(f"/api/executions/{run}").json()
        assert (answer["workflow"], answer["workflowDeleted"]) == ("Elsewhere", True)
        assert [line["message"] for line in answer["stepExecutions"][0]["logs"]] == ["hello from elsewhere"]
