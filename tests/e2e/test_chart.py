"""The chart's life on a real node: install, use, test, upgrade, uninstall, install again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from container import build
from localcluster import ClusterError, LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import names
from tests.support.chart import CHART, HOME, NAMESPACE, helm
from tests.support.polling import eventually
from tests.support.resources import Json

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(900)]

_READY_WITHIN = 300.0
_FACADE = f"/api/v1/namespaces/{NAMESPACE}/services/nightcrawler-api:http/proxy"
_WORKFLOW: Json = {
    "name": "Greeting",
    "steps": [{"name": "Greet", "image": "busybox:1", "command": ["echo", "hello from the chart"]}],
}


class Release:
    """The chart on a cluster whose node has the image; the facade is asked through its Service."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster

    def helm(self, *arguments: str) -> str:
        return helm(*arguments, f"--namespace={NAMESPACE}", kubeconfig=self.cluster.kubeconfig)

    def install(self, *arguments: str) -> None:
        until_ready = ("--wait", f"--timeout={_READY_WITHIN:.0f}s")
        command = ("upgrade", "--install", "nightcrawler", str(CHART), "--create-namespace")
        self.helm(*command, *until_ready, *arguments)

    def get(self, path: str) -> Any:
        return self.cluster.api.get(f"{_FACADE}{path}")

    def post(self, path: str, body: Json) -> Any:
        return self.cluster.api.post(f"{_FACADE}{path}", body)

    def run(self, workflow: str) -> Json:
        """Run a workflow over REST; its execution once it has ended."""
        return self.ended(workflow, self.start(workflow))

    def start(self, workflow: str) -> str:
        """Start a run over REST; its name."""
        return str(self.post(f"/api/workflows/{workflow}/execute", {})["executionId"])

    def ended(self, workflow: str, run: str) -> Json:
        """A run, once it has ended."""
        path = f"/api/workflows/{workflow}/executions/{run}"

        def ended(execution: Json) -> bool:
            return execution["status"] in ("completed", "failed", "cancelled")

        seen: Json = eventually(lambda: self.get(path), until=ended, what=f"the end of {run}", within=180)
        return seen

    def pods(self, run: str) -> list[str]:
        """The names of a run's Pods."""
        chosen = (f"--namespace={HOME}", f"--selector={names.LABEL_EXECUTION}={run}", "--output=name")
        return self.cluster.kubectl("get", "pods", *chosen).split()

    @property
    def leader(self) -> str:
        """The name of the Pod that leads; empty if none does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/nightcrawler-operator"
        holder = str(self.cluster.api.get(path)["spec"].get("holderIdentity") or "")
        pods = self.cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=name").split()
        return next((pod for name in pods if (pod := name.partition("/")[2]) in holder), "")

    def runs(self) -> set[str]:
        """The names of the runs that the cluster has."""
        return set(self.cluster.kubectl("get", "wfe", f"--namespace={HOME}", "--output=name").split())


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    if os.geteuid() != 0:
        pytest.skip("a real node needs root: run the tests as root to see the chart installed")
    archive = build.archive()
    with LocalCluster.start(tmp_path_factory.mktemp("chart") / "cluster", node=True) as cluster:
        cluster.load_image(archive)
        made = Release(cluster)
        made.install()
        yield made


def test_a_release_lives_through_upgrade_and_reinstallation(release: Release) -> None:
    for part in ("operator", "api"):
        chosen = (f"--namespace={NAMESPACE}", f"--selector=app.kubernetes.io/component={part}")
        pods = release.cluster.kubectl("get", "pods", *chosen, "--output=name")
        assert len(pods.split()) == 2

    # A run over REST, through the Service, by the operator in its Pod with the rights of the chart.
    workflow = release.post("/api/workflows", _WORKFLOW)["id"]
    assert release.run(workflow)["status"] == "completed"

    assert "Succeeded" in release.helm("test", "nightcrawler", "--timeout=180s")

    release.install("--set=operator.settings.workers=8", "--set=facade.replicas=1")
    assert release.run(workflow)["status"] == "completed"
    before = release.runs()
    assert len(before) == 2

    release.helm("uninstall", "nightcrawler", "--wait")
    assert release.runs() == before, "runs, their namespace and the custom resources stay"
    with pytest.raises(RefusedError):
        release.get("/api/workflows")

    release.install()
    assert release.runs() == before
    assert release.run(workflow)["status"] == "completed"


def test_a_run_goes_on_when_the_leader_is_killed(release: Release) -> None:
    slow = {**_WORKFLOW, "name": "Slow", "steps": [{**_WORKFLOW["steps"][0], "command": ["sleep", "5"]}]}
    workflow = release.post("/api/workflows", slow)["id"]
    run = release.start(workflow)
    eventually(lambda: release.pods(run), what="a Pod of the run", within=60)
    leader = release.leader
    assert leader
    now = ("--grace-period=0", "--force")
    release.cluster.kubectl("delete", "pod", leader, f"--namespace={NAMESPACE}", *now)
    assert release.ended(workflow, run)["status"] == "completed"
    assert len(release.pods(run)) == 1, "nothing runs twice"
    eventually(lambda: release.leader not in ("", leader), what="another leader", within=60)


def test_the_upgrade_of_a_namespaced_release_needs_no_cluster_wide_rights(release: Release) -> None:
    release.install("--set=scope=namespace")
    workflow = release.post("/api/workflows", {**_WORKFLOW, "name": "Namespaced"})["id"]
    assert release.run(workflow)["status"] == "completed"
    account = f"--as=system:serviceaccount:{NAMESPACE}:nightcrawler-operator"
    asked = release.cluster.kubectl("auth", "can-i", "--list", "--namespace=default", account)
    assert "jobs.batch" not in asked


def test_the_image_has_no_shell_and_says_what_is_in_it(release: Release) -> None:
    sbom = "/usr/share/doc/nightcrawler/sbom.cdx.json"
    program = f"import json; print(json.load(open({sbom!r}))['bomFormat'])"
    pods = f"--namespace={NAMESPACE}", "deployment/nightcrawler-operator", "--"
    assert release.cluster.kubectl("exec", *pods, "python", "-c", program).strip() == "CycloneDX"
    with pytest.raises(ClusterError, match="executable file not found"):
        release.cluster.kubectl("exec", *pods, "sh", "-c", "true")
