"""The archive of a facade that serves several namespaces, on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Elsewhere:
    """A facade with an archive, and a run of a further namespace that only the archive has."""

    cluster: LocalCluster
    served: Served
    namespace: str
    run: str

    @property
    def workflow(self) -> str:
        return f"{self.namespace}:wf"

    def groups(self, by: str, name: str) -> dict[str, int]:
        """How many executions each group of the statistics has."""
        answer = self.served.http.get("/api/statistics", params={"groupBy": by}).json()
        return {one[name]: one["executions"] for one in answer["groups"]}


@contextlib.contextmanager
def archived_elsewhere(cluster: LocalCluster, folder: Path) -> Iterator[Elsewhere]:
    """Run a workflow in a further namespace until its run is archived and pruned; then the operator stops."""
    logs = (folder / "logs").as_uri()
    kept = {"keep": "archive,logs", "archive_url": sqlite_archive(folder), "log_url": logs}
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(a_namespace(cluster))
        served = stack.enter_context(serving(cluster, folder, namespaces=other, **kept))
        give_rights(cluster, other, served.namespace)
        operators = stack.enter_context(operators_in(cluster, other, folder))
        operator = operators.make(keep=kept["keep"], namespaces=other, job_cleanup_after=0)
        operator.settings["namespace"] = served.namespace  # as the facade: its home is another namespace
        team = Team(cluster, other)
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
        yield Elsewhere(cluster, served, other, run)


def expect_all_of_it(there: Elsewhere) -> None:
    """The archive has the run's details, log, timeline and revision."""
    served, path = there.served, f"/{there.workflow}/executions/{there.run}"
    detail = served.ask("GET", path)
    assert (detail["id"], detail["workflowId"], detail["archived"]) == (there.run, there.workflow, True)
    assert [line["message"] for line in detail["stepExecutions"][0]["logs"]] == ["hello from elsewhere"]
    text = served.http.get(
        f"/api/workflows{path}/logs", params={"step": "one"}, headers={"Accept": "text/plain"}
    ).text
    assert text == "hello from elsewhere\n"
    assert served.ask("GET", f"{path}/timeline")["executionId"] == there.run
    (revision,) = served.ask("GET", f"/{there.workflow}/revisions")["revisions"]
    assert revision["executions"] == 1


def expect_lists_of(there: Elsewhere, again: str, of_home: str) -> None:
    """Lists, pages and statistics have the archived run, its repetition and a run of the home namespace."""
    served = there.served
    listed = [row["id"] for row in runs_of(served)]
    assert sorted(listed) == sorted([there.run, again, of_home])
    pages = [served.http.get("/api/executions", params={"limit": 1}).json()]
    while cursor := pages[-1].get("nextCursor"):
        pages.append(served.http.get("/api/executions", params={"limit": 1, "cursor": cursor}).json())
    assert [row["id"] for page in pages for row in page["executions"]] == listed
    assert there.groups("namespace", "namespace") == {there.namespace: 2, served.namespace: 1}
    assert there.groups("workflow", "workflowId")[there.workflow] == 2


def delete_the_namespace(there: Elsewhere) -> dict[str, str]:
    """Delete the further namespace; how its runs ended, once the archive alone has them."""
    there.cluster.kubectl("delete", "namespace", there.namespace, "--wait=false")
    seen = eventually(
        lambda: runs_of(there.served, namespace=there.namespace),
        until=lambda rows: (
            len(rows) == 2 and all("archived" in row and "workflowDeleted" in row for row in rows)
        ),
        what="the namespace to be gone",
    )
    return {row["id"]: row["status"] for row in seen}


def test_a_run_of_a_further_namespace_stays_with_its_log_also_when_the_namespace_is_deleted(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with archived_elsewhere(cluster, tmp_path) as there:
        served, run = there.served, there.run
        of_home = served.execute(served.create(steps=[STEP]))
        served.report(of_home, phase="Completed", completionTime="2025-07-10T15:00:00Z")
        expect_all_of_it(there)
        rerun = served.ask("POST", f"/{there.workflow}/executions/{run}/rerun", code=201)
        again: str = rerun["executionId"]
        assert again.startswith(f"{there.namespace}:")
        expect_lists_of(there, again, of_home)

        assert delete_the_namespace(there) == {run: "completed", again: "cancelled"}
        served.facade.stop()
        served.facade.start()
        assert {row["id"] for row in runs_of(served)} == {run, again, of_home}
        answer = served.http.get(f"/api/executions/{run}").json()
        assert (answer["workflow"], answer["workflowDeleted"]) == ("Elsewhere", True)
        assert [line["message"] for line in answer["stepExecutions"][0]["logs"]] == ["hello from elsewhere"]
