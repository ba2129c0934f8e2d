"""The chart's release on a real node: what a person does with Helm, and what its Pods are asked.

Runs are on simulated nodes: twenty of them at once cost the machine next to nothing, and the operator
does for them what it does for any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcluster import LocalCluster, namespaces
from localcluster.state import load as load_state
from tests.support.builders import a_workflow
from tests.support.chart import CHART, HOME, NAMESPACE, helm, manifests, of
from tests.support.exactlyonce import assert_ran_once, assert_there_once
from tests.support.examples import FOLDER as EXAMPLES
from tests.support.history import History
from tests.support.polling import eventually
from tests.support.resources import Json
from tests.support.steadyload import UNDER_WAY
from tests.support.team import Team

NAME: Final = "nightcrawler"
ROOT: Final = CHART.parents[1]
ENVIRONMENTS: Final = EXAMPLES / "environments.yaml"
PLAYED: Final = "gpu"
"""The Environment of the simulated nodes."""
WITHOUT_ARCHIVE: Final = "--set=archive.enabled=false"
_VOLUME: Final = f"{NAME}-archive"
_USER: Final = 65532
_READY_WITHIN: Final = 300.0
_SERVICE: Final = "nightcrawler-api"
_FACADE: Final = f"/api/v1/namespaces/{NAMESPACE}/services/{_SERVICE}:http/proxy"
_QUICK: Final = tuple(f"s{number}" for number in range(1, 6))
_HELD: Final = "held"
_AN_HOUR: Final = 3600.0


class Release:
    """The chart on a cluster whose node has the image; the facade is asked through its Service.

    Attributes:
        cluster: The cluster, with its administrator's rights.
        team: The namespace of the workflows.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.team = Team(cluster, HOME)

    # --- Helm ----------------------------------------------------------------------------------------

    def helm(self, *arguments: str, major: int = 3) -> str:
        """What helm of this major version prints."""
        return helm(*arguments, f"--namespace={NAMESPACE}", kubeconfig=self.cluster.kubeconfig, major=major)

    def install(self, *arguments: str, chart: Path = CHART, major: int = 3) -> None:
        """Install or upgrade, and wait until all Pods are ready and the Service leads to them."""
        command = ("upgrade", "--install", NAME, str(chart), "--create-namespace")
        self.helm(*command, *_until_ready(), *arguments, major=major)
        self.until_served()

    def roll_back(self) -> None:
        """Go back to the revision before this one, and wait as `install` does."""
        self.helm("rollback", NAME, *_until_ready())
        self.until_served()

    def lend_rights(self) -> None:
        """Give the accounts of an older chart the rights that today's image needs in the whole cluster.

        It is installed with that image, for no other is at hand, and asks for what the image of then needed.
        """
        self.cluster.kubectl("apply", "-f", "-", stdin=_todays_rights())

    def take_rights_back(self) -> None:
        """The accounts have those rights only that their chart asks for."""
        self.cluster.kubectl("delete", "-f", "-", stdin=_todays_rights())

    def offer_volume(self, folder: Path) -> None:
        """A folder of this host as the volume of the release's archive: nothing else makes one here."""
        folder.mkdir()
        os.chown(folder, _USER, _USER)
        spec = {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": NAMESPACE, "name": _VOLUME},
            "hostPath": {"path": str(folder)},
        }
        self.cluster.api.post("/api/v1/persistentvolumes", {"metadata": {"name": _VOLUME}, "spec": spec})

    # --- the facade ----------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """The facade's answer."""
        return self.cluster.api.get(f"{_FACADE}{path}")

    def post(self, path: str, body: Json) -> Any:
        """The facade's answer."""
        return self.cluster.api.post(f"{_FACADE}{path}", body)

    def run(self, workflow: str) -> Json:
        """Run a workflow over REST; its execution once it has ended."""
        run = str(self.post(f"/api/workflows/{workflow}/execute", {})["executionId"])
        path = f"/api/workflows/{workflow}/executions/{run}"

        def ended(execution: Json) -> bool:
            return execution["status"] in ("completed", "failed", "cancelled")

        seen: Json = eventually(lambda: self.get(path), until=ended, what=f"the end of {run}", within=180)
        return seen

    def ask_as(self, token: str, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """The facade's status and answer to a caller with this token; without one if it is empty."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = {"method": method, "url": f"{self._address}{path}", "headers": headers, "json": body}
        answered = subprocess.run(
            self._in_its_network("tests.support.onerequest"),
            cwd=ROOT,
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        answer: Json = json.loads(answered.stdout)
        return answer["status"], answer["body"]

    def add_account(self, name: str, role: str = "") -> str:
        """The token of a new service account, with one of Kubernetes' own roles in the home namespace."""
        where = f"--namespace={HOME}"
        self.cluster.kubectl("create", "serviceaccount", name, where)
        if role:
            bound = (f"--clusterrole={role}", f"--serviceaccount={HOME}:{name}")
            self.cluster.kubectl("create", "rolebinding", name, *bound, where)
        return self.cluster.kubectl("create", "token", name, where).strip()

    @property
    def _address(self) -> str:
        service = self.cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{_SERVICE}")
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def _in_its_network(self, module: str, *arguments: str) -> list[str]:
        """The command that runs a module where the cluster's Services have their addresses."""
        state = load_state(self.cluster.folder)
        assert state is not None
        return [*namespaces.network(state.network).enter(), sys.executable, "-m", module, *arguments]

    @contextlib.contextmanager
    def load(self, *arguments: str) -> Iterator[Load]:
        """A steady load on the facade's Service, from the cluster's own network, until the block ends."""
        process = subprocess.Popen(
            self._in_its_network("tests.support.steadyload", self._address, *arguments),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        running = Load(process)
        try:
            running.until_under_way()
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            running.wait()

    # --- its Pods ------------------------------------------------------------------------------------

    def pods(self, part: str) -> list[Json]:
        """The Pods of `operator` or `api`."""
        chosen = (f"--namespace={NAMESPACE}", f"--selector=app.kubernetes.io/component={part}")
        listed = json.loads(self.cluster.kubectl("get", "pods", *chosen, "--output=json"))
        found: list[Json] = listed["items"]
        return found

    @property
    def restarts(self) -> dict[str, int]:
        """How often the containers of its Pods were restarted; not of Pods that are being deleted."""
        return {
            pod["metadata"]["name"]: sum(
                status["restartCount"] for status in pod["status"].get("containerStatuses", ())
            )
            for part in ("operator", "api")
            for pod in self.pods(part)
            if "deletionTimestamp" not in pod["metadata"]
        }

    @property
    def leader(self) -> str:
        """The identity of the process that leads, `POD_…`; empty if none does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/nightcrawler-operator"
        return str(self.cluster.api.get(path)["spec"].get("holderIdentity") or "")

    def until_rolled_out(self) -> None:
        """Wait until all replicas are ready and the Service leads to them."""
        for part in ("operator", "api"):
            deployment = f"deployment/{NAME}-{part}"
            namespace = f"--namespace={NAMESPACE}"
            self.cluster.kubectl("rollout", "status", deployment, namespace, *_until_ready()[1:])
        self.until_served()

    def until_served(self) -> None:
        """Wait until the facade's Service leads to the Pods of today.

        A Deployment is reported as ready before the Service has the address of its Pod, and while a Pod
        of before may still answer.
        """

        def deleted() -> list[str]:
            seen = [pod["metadata"] for pod in self.pods("api")]
            return [pod["name"] for pod in seen if "deletionTimestamp" in pod]

        eventually(deleted, until=lambda names: not names, what="the facade's Pods of before to be gone")
        ready = f"{_FACADE}/readyz"
        eventually(lambda: self.cluster.api.is_ok(ready), what="the facade's Service to lead to a Pod")

    def waits_for_a_node(self, part: str) -> bool:
        """Whether one Pod of `operator` or `api` is ready, and one finds no node."""
        pods = self.pods(part)
        ready = [
            pod for pod in pods if _condition(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]
        ]
        return len(ready) == 1 and any(pod["status"]["phase"] == "Pending" for pod in pods)

    def is_reported_dead(self, leader: str) -> bool:
        """Whether the kubelet has reported the end of the leader's container."""
        pod = leader.rpartition("_")[0]
        (found,) = [p for p in self.pods("operator") if p["metadata"]["name"] == pod]
        (state,) = found["status"]["containerStatuses"]
        return bool(state["restartCount"]) or "terminated" in state["state"]

    def kill(self, leader: str) -> None:
        """Kill the program of the leader, as the kernel does when memory runs out; its Pod stays."""
        pod = leader.rpartition("_")[0]
        (uid,) = [p["metadata"]["uid"] for p in self.pods("operator") if p["metadata"]["name"] == pod]
        os.kill(_pid_in(uid, "nightcrawler-operator"), signal.SIGKILL)

    # --- runs ----------------------------------------------------------------------------------------

    def start_runs(self, workflow: str, count: int) -> list[str]:
        """Start runs of some quick steps and one that goes on until `finish`; wait until all of them run."""
        built = a_workflow(workflow, history={"completed": count})
        for step in _QUICK:
            built = built.step(step, lasts=2)
        self.team.apply(built.step(_HELD, lasts=_AN_HOUR))
        runs = [self.team.run(workflow, environment=PLAYED) for _ in range(count)]
        for run in runs:
            self.team.until_phase(run, "Running")
        return runs

    def finish(self, runs: list[str], history: History | None = None) -> None:
        """Let runs end, and assert that each step had one Job and one Pod.

        Args:
            runs: What `start_runs` gave.
            history: What the API server saw of them; without it, what there is now is counted.
        """
        for run in runs:
            self.team.finish(self.team.until_pod_runs(run, _HELD, within=120))
        for run in runs:
            self.team.until_phase(run, "Completed", within=120)
        attempts = [f"{step}/1" for step in (*_QUICK, _HELD)]
        for run in runs:
            if history is None:
                assert_there_once(self.team, run, *attempts)
            else:
                assert_ran_once(history, run, *attempts)


class Load:
    """Requests that go on beside a test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._printed = ""

    def until_under_way(self) -> None:
        """Wait until it has begun."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == UNDER_WAY

    def go_on(self, seconds: float) -> None:
        """Let it go on for some seconds.

        Raises:
            AssertionError: It has ended by itself.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            raise AssertionError("the load has ended before its time")

    def wait(self) -> None:
        """Wait until it has ended."""
        printed, _ = self._process.communicate(timeout=300)
        self._printed += printed

    @property
    def answered(self) -> int:
        """How many requests were answered well; once it has ended."""
        return int(self._report["answered"])

    @property
    def failed(self) -> list[str]:
        """The failure of each other request; once it has ended."""
        failed: list[str] = self._report["failed"]
        return failed

    @property
    def _report(self) -> Json:
        report: Json = json.loads(self._printed)
        return report


@dataclass(frozen=True)
class Chart:
    """A chart, the Environments that its custom resources take, and a sentence that says which it is.

    `settings` are those with which it has two facades.
    """

    path: Path
    environments: Path
    what: str
    settings: tuple[str, ...] = ()


def chart_before(folder: Path) -> Chart:
    """The chart as it was before the last commit that changed it.

    A shallow clone has no such commit. There it is today's chart under an older version: the upgrade shows
    that no field that cannot be changed depends on the version, but not that older templates can be upgraded.
    """
    chart, environments = (str(path.relative_to(ROOT)) for path in (CHART, ENVIRONMENTS))
    # What was merged has charts of its own before it, with half of what there was.
    last = _git("log", "-1", "--first-parent", "--format=%H", "--", chart)
    archive = folder / "before.tar"
    if last and _git("archive", f"--output={archive}", f"{last}~", chart, environments) is not None:
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        what = f"the chart of before commit {last[:7]}"
        known = "archive:" in (folder / chart / "values.yaml").read_text()
        return Chart(folder / chart, folder / environments, what, (WITHOUT_ARCHIVE,) if known else ())
    helm("package", str(CHART), "--version=0.0.1", f"--destination={folder}")
    what = "today's chart under an older version, for git knows no earlier one"
    return Chart(folder / f"{NAME}-0.0.1.tgz", ENVIRONMENTS, what, (WITHOUT_ARCHIVE,))


def _todays_rights() -> str:
    """Today's rights in the whole cluster, under names of their own beside those of an older chart."""
    lent = [o for kind in ("ClusterRole", "ClusterRoleBinding") for o in of(manifests(), kind)]
    for one in lent:
        one["metadata"] = {"name": f"{one['metadata']['name']}-lent"}
        if "roleRef" in one:
            one["roleRef"]["name"] += "-lent"
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": lent})


def _condition(pod: Json, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def _pid_in(pod_uid: str, program: str) -> int:
    """The process of a program in a Pod: Pods have PIDs of their own, and the host's for us."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            of_pod = folder.name.isdecimal() and pod_uid in (folder / "cgroup").read_text()
            if of_pod and program in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    assert len(found) == 1, f"{program} runs in the Pod {pod_uid} as {found}"
    return found[0]


def _git(*arguments: str) -> str | None:
    """What git prints; None if it fails, as it does where there is no repository."""
    asked = ["git", "-C", str(ROOT), *arguments]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    return ended.stdout.strip() if ended.returncode == 0 else None


def _until_ready() -> tuple[str, str]:
    return "--wait", f"--timeout={_READY_WITHIN:.0f}s"
