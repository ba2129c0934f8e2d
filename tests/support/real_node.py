"""A whole installation: a cluster with a real node, operator and facade, and runs on it.

Operator and facade are Pods of the image that the Dockerfile makes, installed by the Helm chart as `make
demo` installs them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from container import build
from demo import release, services
from demo.cluster import Kubectl
from demo.services import Installed, Service
from localcluster import LocalCluster, binaries, ports
from localcluster.fakenodes import gpu_nodes
from nightcrawler_crds import names
from nightcrawler_crds.phases import TERMINAL_PHASES
from tests.support.builders import Manifest, WorkflowBuilder, an_execution
from tests.support.examples import FOLDER
from tests.support.polling import eventually
from tests.support.resources import Json, path_of

NAMESPACE: Final = "default"
"""What the facade serves, and where kubectl works by default."""
PULL_TIMEOUT: Final = 15
"""Seconds for which pulling an image may keep failing; the default would be two minutes of waiting."""
_SETTINGS: Final = (
    f"--set=operator.settings.imagePullTimeout={PULL_TIMEOUT} seconds",
    "--set=settings.maskSecrets=true",  # changes nothing for workflows without secureSecrets
)

PYTHON: Final = "python:3.11-slim-bookworm"
_ENDS_WITHIN: Final = 120.0
_BUGS: Final = re.compile(
    r"Traceback \(most recent call last\)|a bug: |was never (?:awaited|retrieved)|Unclosed"
)


@dataclass(frozen=True)
class Installation:
    """A cluster with operator and facade, for tests.

    Attributes:
        cluster: The cluster, with its administrator's rights.
        demo: What the demo's steps are given.
        image: The archive of the image that the Pods run.
        installed: Where the demo finds the facade.
        http: A client of the facade.
    """

    cluster: LocalCluster
    demo: Kubectl
    image: Path
    installed: Installed
    http: httpx.Client

    @property
    def operator_log(self) -> str:
        """What the operator has logged."""
        return self._log("operator")

    def assert_no_bugs(self) -> None:
        """Fail if a program has logged a bug, or was restarted."""
        pods = json.loads(self.kubectl("get", "pods", f"--namespace={release.NAMESPACE}", "--output=json"))
        states = [status for pod in pods["items"] for status in pod["status"]["containerStatuses"]]
        assert [status["restartCount"] for status in states if status["restartCount"]] == []
        for part in ("operator", "api"):
            log = self._log(part)
            print(f"--- {part}\n{log}")  # noqa: T201 - pytest shows it if a test fails
            assert not _BUGS.search(log), f"the {part} logged a bug:\n{log[-6_000:]}"

    def _log(self, part: str) -> str:
        where = f"--namespace={release.NAMESPACE}", f"deployment/{release.NAME}-{part}"
        return self.kubectl("logs", *where, "--tail=-1")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints; ClusterError if it fails."""
        return self.cluster.kubectl(*arguments, stdin=stdin)

    def apply(self, *manifests: Manifest, namespace: str = NAMESPACE) -> None:
        """Apply objects with kubectl, all at once."""
        self._send("apply", manifests, namespace)

    def launch(
        self, *workflows: WorkflowBuilder, namespace: str = NAMESPACE, given: Mapping[str, Any] | None = None
    ) -> dict[str, Run]:
        """Start workflows together, one run of each under the workflow's name; the runs by that name."""
        runs = [an_execution(one, one.name).with_parameters(**given or {}).manifest() for one in workflows]
        self.apply(*(one.manifest() for one in workflows), namespace=namespace)
        # Created, as the guide says: `kubectl apply` would drop parameters that are null.
        self._send("create", runs, namespace)
        return {one.name: Run(self, one.name, namespace) for one in workflows}

    def _send(self, verb: str, manifests: Sequence[Manifest], namespace: str) -> None:
        # Not as a List: kubectl checks those by itself, and knows less than the API server.
        documents = "\n".join(map(json.dumps, manifests))
        self.kubectl(verb, f"--namespace={namespace}", "--filename=-", stdin=documents)


@dataclass(frozen=True)
class Run:
    """One execution."""

    here: Installation
    name: str
    namespace: str = NAMESPACE

    @property
    def path(self) -> str:
        """Where it is on the API server."""
        return f"{path_of('WorkflowExecution', self.namespace)}/{self.name}"

    @property
    def object(self) -> Json:
        """All of it, as it is now."""
        read: Json = self.here.cluster.api.get(self.path)
        return read

    @property
    def status(self) -> Json:
        """Its status, as it is now."""
        status: Json = self.object.get("status", {})
        return status

    @property
    def message(self) -> str:
        """The message of its status."""
        return str(self.status.get("message", ""))

    def step(self, name: str) -> Json:
        """What is recorded of a step; nothing if it has not begun."""
        step: Json = self.status.get("steps", {}).get(name, {})
        return step

    def until(self, holds: Callable[[Json], Any], what: str, within: float = _ENDS_WITHIN) -> Json:
        """Its status once `holds` is true of it."""
        return eventually(lambda: self.status, until=holds, what=f"{self.name}: {what}", within=within)

    def ended(self) -> Json:
        """Its last status."""
        return self.until(lambda status: status.get("phase") in TERMINAL_PHASES, "its end")

    @property
    def pods(self) -> list[Json]:
        """Its Pods as kubectl shows them, the oldest first."""
        listed = json.loads(
            self.here.kubectl(
                "get",
                "pods",
                f"--namespace={self.namespace}",
                f"--selector={names.LABEL_EXECUTION}={self.name}",
                "--sort-by=.metadata.creationTimestamp",
                "--output=json",
            )
        )
        pods: list[Json] = listed["items"]
        return pods

    def running_pod(self) -> Json:
        """Its Pod, once the program in it runs."""

        def running(pods: list[Json]) -> bool:
            return bool(pods) and "running" in container(pods[-1], "step").get("state", {})

        return eventually(lambda: self.pods, until=running, what=f"{self.name}: a running Pod", within=60)[-1]

    def log(self, step: str) -> str:
        """The log of a step's last attempt, by kubectl."""
        job = self.step(step)["jobName"]
        return self.here.kubectl("logs", f"--namespace={self.namespace}", f"job/{job}", "--container=step")

    def cancel(self) -> None:
        """Cancel it as `docs/manifests.md` says."""
        self.here.kubectl(
            "patch",
            "wfe",
            self.name,
            f"--namespace={self.namespace}",
            "--type=merge",
            '-p={"spec":{"cancel":true}}',
        )

    def delete(self) -> None:
        """Delete it with kubectl, without waiting for its children."""
        self.here.kubectl("delete", "wfe", self.name, f"--namespace={self.namespace}", "--wait=false")

    def without_pods(self, within: float = 60) -> None:
        """Wait until no Pod of it is left."""
        eventually(lambda: not self.pods, what=f"{self.name}: the end of its Pods", within=within)


def container(pod: Json, name: str) -> Json:
    """The state of a container of a Pod; nothing if it has none yet."""
    status = pod["status"]
    states = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    found: Json = next((state for state in states if state["name"] == name), {})
    return found


def moment(text: str) -> datetime:
    """A time of Kubernetes'."""
    return datetime.fromisoformat(text)


def seconds_between(start: str, end: str) -> float:
    """How long it is from one time to another."""
    return (moment(end) - moment(start)).total_seconds()


def shell(program: str) -> list[str]:
    """A command that runs a shell program."""
    return ["sh", "-c", program]


def python(program: str) -> list[str]:
    """A command that runs a Python program."""
    return ["python", "-u", "-c", program]


@contextlib.contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    """Cluster, operator and facade, gone when the block is left. Skips where no real node can be."""
    if os.geteuid() != 0:
        pytest.skip("a real node needs root: run the tests as root to see Pods that really run")
    image = build.archive()
    forwarding = Service("forward", folder, ports.pick(["api"])["api"], release.FORWARD.port_variable)
    with LocalCluster.start(
        folder / "cluster", node=True, kwok_nodes=gpu_nodes(2), images=[image]
    ) as cluster:
        cluster.add_metrics()
        demo = Kubectl(str(binaries.kube() / "kubectl"), cluster.kubeconfig)
        release.install(demo, image, *_SETTINGS, folder=folder)
        cluster.kubectl("apply", "-f", str(FOLDER / "environments.yaml"))
        try:
            installed = release.forward(demo, forwarding)
            with httpx.Client(base_url=installed.address, timeout=30, trust_env=False) as http:
                here = Installation(cluster, demo, image, installed, http)
                yield here
                here.assert_no_bugs()
        finally:
            services.stop(forwarding)
