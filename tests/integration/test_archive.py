"""The archive end to end: operator, facade and an SQLite database, on a real API server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from localcluster import LocalCluster
from nightcrawler_api.archive.migrate import migrate
from nightcrawler_api.keptlogs.record import RECORD, Where
from nightcrawler_crds import names
from tests.support.archives import sqlite_archive
from tests.support.builders import a_workflow
from tests.support.collector import read
from tests.support.facade import Json, serving, serving_too
from tests.support.keeping import Kept, keeping
from tests.support.polling import eventually

pytestmark = pytest.mark.usefixtures("nodes")


@pytest.fixture(scope="module")
def kept(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("archive")
    with keeping(cluster, folder, sqlite_archive(folder)) as made:
        yield made


@pytest.fixture
def fresh(cluster: LocalCluster, tmp_path: Path) -> Iterator[Kept]:
    """One of the test's own, whose database has no tables yet."""
    with keeping(cluster, tmp_path, f"sqlite:///{tmp_path / 'archive.db'}") as made:
        yield made


def test_a_run_stays_in_lists_details_and_statistics_after_the_cluster_has_lost_it(kept: Kept) -> None:
    served, team = kept.served, kept.team
    built = a_workflow("short", history={"completed": 1, "failed": 0}, tags=["kept"])
    team.apply(built.step("first").step("second"))
    # Of those that were created in the same second, the order is that of their names.
    runs = [team.run("short", f"short-{number}", executor="Jane") for number in range(3)]
    for run in runs:
        team.until_phase(run, "Completed")
    failing = team.run("short", "short-9")
    team.cancel(failing)

    row = kept.until_only_archived(runs[0], "short")
    kept.until_only_archived(failing, "short")
    assert (row["status"], row["progress"], row["executor"]) == ("completed", "2/2", "Jane")
    listed = served.ask("GET", "/short/executions")
    assert ([one["id"] for one in listed["executions"]], listed["total"]) == ([failing, *runs[::-1]], 4)
    pages = [kept.executions(limit=2, workflow="short")]
    pages.append(kept.executions(limit=2, workflow="short", cursor=pages[0]["nextCursor"]))
    assert [one["id"] for page in pages for one in page["executions"]] == [failing, *runs[::-1]]
    assert kept.executions(tags="kept", status="completed", executor="Jane")["total"] == 3
    assert kept.executions(tags="kept", source="cluster")["total"] == 1

    detail = served.ask("GET", f"/short/executions/{runs[0]}")
    assert [step["name"] for step in detail["stepExecutions"]] == ["first", "second"]
    assert (detail["archived"], detail["status"]) == (True, "completed")
    assert "gone" in detail["stepExecutions"][0]["logsMessage"]
    figures = served.http.get("/api/statistics", params={"workflow": "short", "groupBy": "workflow"}).json()
    assert (figures["executions"], figures["completed"], figures["cancelled"]) == (4, 3, 1)
    assert figures["durationSeconds"]["max"] >= 0
    assert figures["groups"][0]["workflow"] == "short"
    refused = served.refused("POST", f"/short/executions/{runs[0]}/cancel", code=409)
    assert "has ended" in refused["detail"]


def test_a_run_that_only_the_archive_has_is_not_started_again_by_its_key(kept: Kept) -> None:
    kept.team.apply(a_workflow("keyed", history={"completed": 0, "failed": 0}).step("a"))

    def send() -> httpx.Response:
        headers = {"Idempotency-Key": "once"}
        return kept.served.http.post("/api/workflows/keyed/execute", headers=headers)

    run = send().json()["executionId"]
    kept.until_only_archived(run, "keyed")
    again = send()
    assert again.status_code == 409, again.text
    assert f"executions/{run}; send another key" in again.json()["detail"]
    assert kept.executions(workflow="keyed")["total"] == 1


def test_an_archived_run_is_repeated_as_it_was_although_its_revision_is_gone(kept: Kept) -> None:
    served, team = kept.served, kept.team
    team.apply(a_workflow("changing", history={"completed": 0}).step("old"))
    first = team.run("changing")
    team.until_phase(first, "Completed")
    kept.until_only_archived(first, "changing")
    team.edit(a_workflow("changing", history={"completed": 5}).step("new"))
    second = team.run("changing")
    team.until_phase(second, "Completed")

    old = served.ask("GET", f"/changing/executions/{first}")
    assert [step["name"] for step in old["stepExecutions"]] == ["old"]
    again = served.ask("POST", f"/changing/executions/{first}/rerun", code=201)["executionId"]
    status = team.until_phase(again, "Completed")
    assert list(status["steps"]) == ["old"]


def test_of_an_archived_run_there_are_revision_timeline_and_trace(kept: Kept) -> None:
    served, team = kept.served, kept.team
    before = a_workflow("looked-back-at", history={"completed": 0}, trace_level="med")
    team.apply(before.step("first").step("second"))
    run = team.run("looked-back-at")
    team.until_phase(run, "Completed")
    kept.until_only_archived(run, "looked-back-at")
    team.edit(before.step("third"))
    path = f"/looked-back-at/executions/{run}"

    # The operator prunes revisions too, but when is up to it.
    (there,) = team.every(names.REVISIONS, f"{names.LABEL_WORKFLOW}=looked-back-at")
    team.delete(names.REVISIONS, there["metadata"]["name"])
    (revision,) = served.ask("GET", "/looked-back-at/revisions")["revisions"]
    assert revision["archived"] is True
    assert (revision["generation"], revision["executions"], revision["current"]) == (1, 1, False)
    assert revision["createdAt"] <= served.ask("GET", path)["endTime"]
    shown = served.ask("GET", f"/looked-back-at/revisions/{revision['id']}")
    assert [step["name"] for step in shown["content"]["steps"]] == ["first", "second"]
    difference = served.ask("GET", f"/looked-back-at/revisions/{revision['id']}/difference")
    assert "/steps/third" in [one["path"] for one in difference["differences"]]

    timeline = served.ask("GET", f"{path}/timeline")
    assert [one["dependsOn"] for one in timeline["steps"]] == [[], ["first"]]
    assert timeline["criticalPath"] == ["first", "second"]
    spans = read(served.ask("GET", f"{path}/trace"))
    assert [span.name for span in spans].count("attempt 1") == 2

    # What is repeated brings its revision back into the cluster; that is no other one.
    served.ask("POST", f"{path}/rerun", code=201)
    (again,) = served.ask("GET", "/looked-back-at/revisions")["revisions"]
    assert (again["id"], again["generation"], again["createdAt"]) == (
        revision["id"],
        revision["generation"],
        revision["createdAt"],
    )


def test_of_a_deleted_workflow_the_runs_stay_and_are_marked(kept: Kept) -> None:
    served, team = kept.served, kept.team
    team.apply(a_workflow("gone", displayName="Soon gone").step("one"))
    done = team.run("gone")
    team.until_phase(done, "Completed")
    team.edit(a_workflow("gone", displayName="Soon gone").step("one", lasts=600))
    live = team.run("gone")
    team.until_phase(live, "Running")  # only then it is the workflow's, and deleted with it
    served.ask("DELETE", "/gone")

    def rows() -> list[Json]:
        return list(kept.executions(workflow="gone")["executions"])

    def both(found: list[Json]) -> bool:
        return len(found) == 2 and all("archived" in row for row in found)

    # The garbage collector takes up to 30 s to notice kinds that are as new as ours are at first.
    seen = eventually(rows, until=both, within=120, what="both runs to be archived")
    assert {row["id"]: row["status"] for row in seen} == {done: "completed", live: "cancelled"}
    named = {row["id"]: (row.get("workflow"), row.get("workflowDeleted")) for row in seen}
    assert named == dict.fromkeys((done, live), ("Soon gone", True)), seen
    served.refused("GET", "/gone", code=404)
    served.refused("GET", f"/gone/executions/{done}", code=404)
    answer = served.http.get(f"/api/executions/{done}")
    assert (answer.status_code, answer.json()["workflowDeleted"]) == (200, True)
    assert served.http.get("/api/executions/nothing").status_code == 404
    # Another one of its name begins without runs.
    team.apply(a_workflow("gone").step("one"))
    eventually(
        lambda: served.http.get("/api/workflows/gone/executions").json().get("total"),
        until=lambda total: total == 0,
        what="the new workflow",
    )


def test_killed_again_and_again_the_facade_archives_every_run_once_before_it_is_pruned(kept: Kept) -> None:
    team, facade = kept.team, kept.served.facade
    team.apply(a_workflow("many", history={"completed": 0, "failed": 0}).step("one"))
    runs: list[str] = []
    for _ in range(5):
        runs += [team.run("many") for _ in range(6)]
        facade.kill()
        facade.start()
    for run in runs:
        kept.until_only_archived(run, "many")
    assert kept.executions(workflow="many")["total"] == len(runs)
    assert team.executions_of("many") == []


def test_without_tables_live_work_goes_on_history_says_why_not_and_it_is_caught_up_with(fresh: Kept) -> None:
    served, team = fresh.served, fresh.team
    workflow = served.create(steps=[{"name": "a", "image": "busybox:1"}], history={"completed": 0})
    run = served.execute(workflow)
    team.until_phase(run, "Completed")
    refused = served.refused("GET", f"/{workflow}/executions", code=503)
    assert "nightcrawler-api migrate" in refused["detail"]
    assert served.http.get("/api/statistics").status_code == 503
    assert served.ask("GET", f"/{workflow}/executions", status="running")["total"] == 0
    assert served.ask("GET", f"/{workflow}/executions", source="cluster")["total"] == 1
    assert served.ask("GET", f"/{workflow}/executions/{run}")["status"] == "completed"
    assert served.ask("GET", "")["total"] == 1
    health = served.http.get("/healthz").json()["archive"]
    assert (health["usable"], "migrate" in health["detail"]) == (False, True)
    status = served.http.get("/api/status").json()
    assert status["healthy"] is False
    assert {**status["archive"], "behindSeconds": 0} == {**health, "behindSeconds": 0}
    assert team.status(run)["settled"] is False

    migrate(fresh.url)
    fresh.until_only_archived(run, workflow)
    assert eventually(lambda: served.http.get("/healthz").json()["archive"]["usable"], what="the archive")
    assert "nightcrawler_api_archive_written_total 1.0" in served.http.get("/metrics").text


def test_events_do_not_say_that_a_pruned_run_is_deleted(kept: Kept) -> None:
    served, team = kept.served, kept.team
    team.apply(a_workflow("followed", history={"completed": 0}).step("one"))
    with served.http.stream("GET", "/api/events", params={"workflow": "followed"}) as stream:
        lines = stream.iter_lines()
        run = team.run("followed")
        seen = []
        for line in lines:
            if line.startswith("event: "):
                seen.append(line.removeprefix("event: "))
            if line.startswith("data: ") and '"completed"' in line and run in line:
                break
        kept.until_only_archived(run, "followed")
        # What happens after it is reported after it.
        other = team.run("followed")
        for line in lines:
            if line.startswith("event: "):
                seen.append(line.removeprefix("event: "))
            if line.startswith("data: ") and other in line:
                break
    assert "executionDeleted" not in seen


def test_a_second_facade_leaves_a_file_to_the_first(
    kept: Kept, cluster: LocalCluster, tmp_path: Path
) -> None:
    with serving(cluster, tmp_path, keep="archive", archive_url=kept.url) as second:
        detail = eventually(
            lambda: second.http.get("/healthz").json()["archive"].get("detail"), what="it to say why not"
        )
        assert "is for one alone" in detail


def test_what_is_too_old_leaves_archive_and_log_store_and_nothing_else_does(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    now = time.time()
    log = Where("cluster", "team", "uid", "A step", 1).folder
    objects = {f"{log}/{RECORD}": 3600, f"{log}/00000000.log": 3600}
    # The store's clock is ahead, so that this one does not become too old while the test runs.
    others = {f"{log.replace('uid', 'another')}/{RECORD}": -3600, "notes/of/somebody.txt": 3600}
    for path, age in (objects | others).items():
        file = tmp_path / "logs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        os.utime(file, (now - age, now - age))
    with keeping(cluster, tmp_path, sqlite_archive(tmp_path)) as kept:
        team, served = kept.team, kept.served
        team.apply(a_workflow("aged", history={"completed": 1}).step("one"))
        runs = [team.run("aged", f"aged-{number}") for number in range(2)]
        for run in runs:
            team.until_phase(run, "Completed")
        eventually(lambda: len(team.executions_of("aged")) == 1, what="one of them to be pruned")
        assert kept.executions()["total"] == 2
        (there,) = team.executions_of("aged")
        served.facade.stop()

        logs = (tmp_path / "logs").as_uri()
        settings = {"keep": "archive,logs", "log_url": logs, "archive_keep_for": "1 second"}
        with serving_too(served, **settings) as later:
            eventually(
                lambda: later.http.get("/api/executions").json()["executions"],
                until=lambda rows: [row["id"] for row in rows] == [there],
                what="the other to leave the archive",
            )
            assert later.http.get("/api/statistics").json()["executions"] == 1
            eventually(
                lambda: not any((tmp_path / "logs" / path).exists() for path in objects),
                what="the log to leave the store",
            )
            assert all((tmp_path / "logs" / path).exists() for path in others)
        served.facade.start()
