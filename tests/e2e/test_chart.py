"""The life of an installation, by Helm itself: each test leaves a release that the next one goes on with."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from container import build
from localcluster import ClusterError, LocalCluster
from localcluster.api import RefusedError
from localcluster.credentials import NODE_NAME
from localcluster.fakenodes import gpu_nodes
from nightcrawler_crds import names
from tests.support import docs
from tests.support.builders import a_workflow
from tests.support.chart import HOME, NAMESPACE
from tests.support.docshell import DocShell
from tests.support.history import History
from tests.support.polling import eventually
from tests.support.release import PLAYED, WITHOUT_ARCHIVE, Release, chart_before
from tests.support.resources import Json

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(900)]

_IN_FLIGHT = 20
_OUTAGE_SECONDS = 30
_LEASE_SECONDS = 60
_FOLLOWED_WITHIN = 5.0
"""Seconds from the report of a leader's end until another works: a standby looks every two."""
_WORKFLOW: Json = {
    "name": "Greeting",
    "steps": [
        {
            "name": "Greet",
            "image": "busybox:1",
            "command": ["echo", "hello from the chart"],
            # The image runs as root, which the chart's namespaces do not allow.
            "podTemplate": {"spec": {"securityContext": {"runAsUser": 65534}}},
        }
    ],
}

_PATIENT_WITH_NODES = {"kube-controller-manager": ("--node-monitor-grace-period=300s",)}
"""Without the API server no node can renew its Lease. On a busy machine an outage of 30 s and the start
after it come close to the usual 50 s, after which all Pods of the node count as not ready."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart of before its last change, installed for the whole cluster."""
    if os.geteuid() != 0:
        pytest.skip("a real node needs root: run the tests as root to see the chart installed")
    folder = tmp_path_factory.mktemp("chart")
    with LocalCluster.start(
        folder / "cluster",
        node=True,
        kwok_nodes=gpu_nodes(1),
        extra_args=_PATIENT_WITH_NODES,
        images=[build.archive()],
    ) as cluster:
        made = Release(cluster)
        made.offer_volume(folder / "archive")
        made.lend_rights()
        before = chart_before(folder)
        print(f"installing {before.what}")  # noqa: T201 - pytest shows it if a test fails
        made.install(f"--set=image.tag={build.version()}", *before.settings, chart=before.path)
        cluster.kubectl("apply", "-f", str(before.environments))
        yield made


def test_runs_and_requests_go_on_through_an_upgrade_and_its_roll_back(release: Release) -> None:
    workflow = release.post("/api/workflows", _WORKFLOW)["id"]
    assert release.run(workflow)["status"] == "completed", "over REST, by the operator in its Pod"

    history = History(release.team)
    runs = release.start_runs("upgraded", _IN_FLIGHT)
    before = release.restarts.keys()
    with release.load() as load:
        # An archive in a file is for one replica, and no request fails only where there are two.
        settings = ("--set=operator.settings.workers=8", "--set=facade.settings.defaultUser=somebody")
        release.install(*settings, WITHOUT_ARCHIVE)
        upgraded = release.restarts.keys()
        assert not upgraded & before, "both Deployments were rolled"
        release.roll_back()
        assert not release.restarts.keys() & upgraded
    release.finish(runs, history)
    assert load.failed == []
    assert load.answered > 100

    assert "Succeeded" in release.helm("test", "nightcrawler", "--timeout=180s")


def test_runs_survive_an_uninstall_and_go_on_with_the_next_release_of_one_namespace_only(
    release: Release,
) -> None:
    history = History(release.team)
    runs = release.start_runs("orphaned", 3)
    there = {run["metadata"]["name"] for run in release.team.every(names.EXECUTIONS)}

    release.helm("uninstall", "nightcrawler", "--wait")
    release.take_rights_back()
    left = {run["metadata"]["name"] for run in release.team.every(names.EXECUTIONS)}
    assert left == there, "runs, their namespace and the custom resources stay"
    with pytest.raises(RefusedError):
        release.get("/api/workflows")

    # The Lease lasts that long: only a replica that knows the leader is dead replaces it in time.
    # Helm 4 goes on where Helm 3 has left.
    lease = f"--set=operator.settings.leaseDuration={_LEASE_SECONDS} seconds"
    release.install("--set=scope=namespace", lease, WITHOUT_ARCHIVE, major=4)
    release.finish(runs, history)
    account = f"--as=system:serviceaccount:{NAMESPACE}:nightcrawler-operator"
    asked = release.cluster.kubectl("auth", "can-i", "--list", "--namespace=default", account)
    assert "jobs.batch" not in asked


def test_a_killed_leader_is_replaced_long_before_its_lease_expires(release: Release) -> None:
    history = History(release.team)
    runs = release.start_runs("bereft", 1)
    release.team.apply(a_workflow("next").step("only"))
    leader = release.leader
    release.kill(leader)
    run = release.team.run("next", environment=PLAYED)
    # How soon the kubelet reports the end depends on what else the machine does.
    eventually(lambda: release.is_reported_dead(leader), what="the kubelet's word", within=_LEASE_SECONDS / 3)
    reported = time.monotonic()
    eventually(lambda: release.team.jobs(run), what="a Job by another leader", within=_LEASE_SECONDS)
    assert time.monotonic() - reported < _FOLLOWED_WITHIN
    assert release.leader not in ("", leader)
    release.finish(runs, history)


def test_a_drain_leaves_a_replica_of_each_part_until_another_is_ready(release: Release) -> None:
    before = release.restarts.keys()
    drained: list[str] = []
    ours = "--pod-selector=app.kubernetes.io/component in (operator, api)"

    def drain() -> None:
        drained.append(release.cluster.kubectl("drain", NODE_NAME, ours, "--timeout=240s"))

    with release.load() as load:
        draining = threading.Thread(target=drain)
        draining.start()
        try:
            # There is no other real node, so that what was evicted has nowhere to go yet.
            eventually(lambda: all(map(release.waits_for_a_node, ("operator", "api"))), within=90)
            release.team.apply(a_workflow("meanwhile").step("only"))
            release.team.until_phase(release.team.run("meanwhile", environment=PLAYED), "Completed")
            assert draining.is_alive(), "the budgets hold it up"
        finally:
            release.cluster.kubectl("uncordon", NODE_NAME)
            draining.join()
    assert drained, "it has ended"
    release.until_rolled_out()
    assert not release.restarts.keys() & before
    assert load.failed == []


def test_runs_and_reading_go_on_through_an_outage_of_the_api_server(release: Release) -> None:
    runs = release.start_runs("cut-off", 3)
    before = release.restarts
    with release.load("--reads-only") as load:
        release.cluster.stop_component("kube-apiserver", kill=True)
        load.go_on(_OUTAGE_SECONDS)
        release.cluster.start_component("kube-apiserver")
        release.finish(runs)
    assert load.failed == []
    assert release.restarts == before, "no probe has ended a process that can do nothing about it"


def test_an_archive_comes_with_an_upgrade_and_keeps_what_the_cluster_loses(release: Release) -> None:
    workflow = release.post("/api/workflows", _WORKFLOW | {"history": {"completed": 0}})["id"]
    # Without any setting Helm would take those of the last release again.
    release.install("--set=archive.enabled=true", major=4)
    run = release.run(workflow)["id"]
    path = f"/api/executions/{run}"
    eventually(lambda: release.get(path), until=lambda one: "archived" in one, what="the run to be archived")
    release.cluster.kubectl("rollout", "restart", f"--namespace={NAMESPACE}", "deployment/nightcrawler-api")
    release.until_rolled_out()
    assert release.get(path)["status"] == "completed"
    assert release.get("/api/executions?limit=1")["executions"][0]["id"] == run


def test_callers_are_known_by_their_tokens_and_may_do_what_kubernetes_allows_them(release: Release) -> None:
    release.install("--set=callers.mode=kubernetes", "--set=archive.enabled=true")
    viewer, editor = release.add_account("viewer", "view"), release.add_account("editor", "edit")
    stranger = release.add_account("stranger")

    status, problem = release.ask_as("", "GET", "/api/workflows")
    assert (status, problem["status"]) == (401, 401)
    assert release.ask_as(f"{viewer}x", "GET", "/api/workflows")[0] == 401
    assert release.ask_as(viewer, "POST", "/api/workflows", _WORKFLOW)[0] == 403
    status, made = release.ask_as(editor, "POST", "/api/workflows", _WORKFLOW)
    assert status == 201
    path = f"/api/workflows/{made['id']}"

    status, shown = release.ask_as(viewer, "GET", path)
    assert (status, shown["creator"]) == (200, f"system:serviceaccount:{HOME}:editor")
    assert release.ask_as(viewer, "POST", f"{path}/execute", {})[0] == 403
    assert release.ask_as(viewer, "DELETE", path)[0] == 403
    assert release.ask_as(stranger, "GET", path)[0] == 404, "whoever does not see it learns nothing of it"
    assert release.ask_as(stranger, "GET", "/api/workflows")[1]["total"] == 0

    status, started = release.ask_as(editor, "POST", f"{path}/execute", {})
    assert status < 300, started
    run = f"{path}/executions/{started['executionId']}"
    ended: Json = eventually(
        lambda: release.ask_as(viewer, "GET", run)[1],
        until=lambda one: one["status"] not in ("pending", "running"),
        what="the end of the run",
        within=120,
    )
    assert (ended["status"], ended["executor"]) == ("completed", f"system:serviceaccount:{HOME}:editor")


def test_the_image_has_no_shell_and_says_what_is_in_it(release: Release) -> None:
    sbom = "/usr/share/doc/nightcrawler/sbom.cdx.json"
    program = f"import json; print(json.load(open({sbom!r}))['bomFormat'])"
    pods = f"--namespace={NAMESPACE}", "deployment/nightcrawler-operator", "--"
    assert release.cluster.kubectl("exec", *pods, "python", "-c", program).strip() == "CycloneDX"
    with pytest.raises(ClusterError, match="executable file not found"):
        release.cluster.kubectl("exec", *pods, "sh", "-c", "true")


def test_the_commands_of_the_page_on_installing_work_one_after_another(
    release: Release, tmp_path: Path
) -> None:
    """The last test: what they leave is a cluster without any of it."""
    # While the operator runs: it removes the finalizer of deleted Pods.
    release.cluster.kubectl("delete", "namespace", HOME)
    release.helm("uninstall", "nightcrawler", "--wait")
    shell = DocShell(release.cluster.kubeconfig, tmp_path, dry_run=(), run_anyway=["helm "])
    assert shell.run(docs.commands(docs.ROOT / "docs" / "installing.md")) == []
    assert HOME not in release.cluster.kubectl("get", "namespaces", "--output=name")
    assert "nightcrawler.dev" not in release.cluster.kubectl("get", "crds", "--output=name")
