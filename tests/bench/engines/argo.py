"""Argo Workflows: its workflow-controller as a process beside the cluster, of a binary that is brought along.

What is in its favour: its Pods' executor is simulated, so it writes no WorkflowTaskResult; its metrics are
off; it logs warnings only; a run brings its whole workflow along, which saves the look-up of a template;
and it leaves ended Pods where they are, as it is installed.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from localcluster import LocalCluster
from nightcrawler_crds import names
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource
from tests.bench.engines import DURATION, NAMESPACE, NO_SETTINGS, Defined, Meta, PodKey, Selection, Settings
from tests.bench.programs import Program
from tests.bench.shapes import Shape
from tests.support.polling import eventually

WORKFLOWS: Final = Resource("argoproj.io", "v1alpha1", "workflows", "Workflow")
_CONFIGURATION: Final = "workflow-controller-configmap"
_UNFINISHED: Final = "workflows.argoproj.io/completed!=true"
"""Workflows and Pods that it is not yet done with."""
_LABEL_RUN: Final = "workflows.argoproj.io/workflow"
_NODE_NAME: Final = "workflows.argoproj.io/node-name"
_HEALTH_PORT: Final = 6060
_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Profile:
    """How the controller is set up.

    Attributes:
        what: In words, for the report.
        flags: Its arguments besides those that any process here needs.
        requeue: Its DEFAULT_REQUEUE_TIME: how long a changed workflow waits before it is looked at.
    """

    what: str
    flags: tuple[str, ...]
    requeue: str

    def with_flags(self, more: Sequence[str]) -> Profile:
        """The same with further arguments, which win."""
        return Profile(self.what, (*self.flags, *more), self.requeue)


_QUICK: Final = ("--qps=512", "--burst=2048", "--workflow-workers=128", "--pod-cleanup-workers=32")
PROFILES: Final[Mapping[str, Profile]] = {
    "installed": Profile("as it is installed", (), "10s"),
    "tuned": Profile("tuned far beyond its defaults", _QUICK, "1s"),
    # Below a second its authors warn of decisions upon what is out of date (`GetRequeueTime`).
    "harder": Profile("tuned harder than its authors advise", _QUICK, "100ms"),
}


class Argo:
    """The controller, without leader election; it watches all namespaces."""

    live = Selection(WORKFLOWS, label_selector=_UNFINISHED)
    failed = Selection(WORKFLOWS, label_selector="workflows.argoproj.io/phase in (Failed,Error)")
    tidy: Settings = NO_SETTINGS
    in_place_of_others: frozenset[str] = frozenset()

    def __init__(self, controller: Path, crds: Path, profile: Profile) -> None:
        """`controller` is the binary, `crds` a folder of the manifests of its custom resources."""
        self.name = controller.name
        self._controller = controller
        self._crds = crds
        self._profile = profile
        self._probes = (f"probe-{number}" for number in count())
        self._probe = ""
        self._health: socket.socket | None = None

    def version(self) -> str:
        """What the binary says of itself."""
        argv = [str(self._controller), "version", "--short"]
        printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
        return printed.rpartition(" ")[2] or "unknown"

    def install(self, cluster: LocalCluster) -> None:
        """Create its custom resources and its configuration."""
        files = [argument for file in manifests_in(self._crds) for argument in ("-f", str(file))]
        cluster.kubectl("apply", "--server-side", *files)
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *files)
        path = f"/apis/{WORKFLOWS.api_version}/{WORKFLOWS.plural}"
        eventually(lambda: cluster.api.is_ok(path), within=_PATIENCE, what="Argo's kinds to be served")
        cluster.api.post(f"/api/v1/namespaces/{NAMESPACE}/configmaps", configuration())

    def start(self, cluster: LocalCluster, log: Path, settings: Settings) -> Program:
        """Start the controller; `settings` are further flags, with underscores for dashes."""
        self._close_health_port()
        self._probe = ""
        argv = [
            str(self._controller),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--namespace={NAMESPACE}",
            "--executor-image=none:v1",
            "--loglevel=warn",
            *self._profile.flags,
            *(f"--{name.replace('_', '-')}={value}" for name, value in settings.items()),
        ]
        environment = {"LEADER_ELECTION_DISABLE": "true", "DEFAULT_REQUEUE_TIME": self._profile.requeue}
        return Program(cluster, argv, log, environment)

    async def works(self, store: Store, cluster: LocalCluster) -> bool:
        """It has taken up a workflow that only waits, and makes no Pod."""
        if not self._probe:
            self._probe = next(self._probes)
            waiting = {"entrypoint": "wait", "templates": [{"name": "wait", "suspend": {}}]}
            await store.create(WORKFLOWS, NAMESPACE, _manifest(self._probe, waiting), dict[str, Any])
        probe = await store.get(WORKFLOWS, NAMESPACE, self._probe, dict[str, Any])
        if not probe.get("status", {}).get("phase"):
            return False
        await store.delete(WORKFLOWS, NAMESPACE, self._probe)
        return True

    async def define(self, store: Store, name: str, shape: Shape) -> Defined:
        """Nothing to create: a run brings its workflow along."""
        return Defined(name, "", shape)

    async def submit(self, store: Store, workflow: Defined, name: str) -> None:
        """A Workflow, as `argo submit` makes it of a file."""
        await store.create(WORKFLOWS, NAMESPACE, run(workflow.shape, name), dict[str, Any])

    async def settled(self, store: Store) -> bool:
        """It has put its label on every Pod, the last that it does to one that it leaves where it is."""
        return not await store.list_all(names.PODS, NAMESPACE, dict[str, Any], label_selector=_UNFINISHED)

    def step_of(self, pod: Meta) -> PodKey | None:
        """By its label and its annotation `<run>[0].<step>` or `<run>.<step>`."""
        name, node = pod.labels.get(_LABEL_RUN), pod.annotations.get(_NODE_NAME, "")
        step = node.rpartition(".")[2]
        return (name, step) if name and step else None

    def _close_health_port(self) -> None:
        """Take the port of its health endpoint, which would be open to the network; it does without."""
        if self._health is None:
            # Whoever has it already serves as well.
            with contextlib.suppress(OSError):
                self._health = socket.create_server(("127.0.0.1", _HEALTH_PORT))


def manifests_in(folder: Path) -> list[Path]:
    """The manifests of its custom resources, one a kind."""
    return sorted(folder.glob("argoproj.io_*.yaml"))


def flags_of(words: str) -> tuple[str, ...]:
    """Arguments as a shell reads them."""
    return tuple(shlex.split(words))


def configuration() -> dict[str, Any]:
    """Its ConfigMap: as installed, but without the metrics' port, which would be open to the network."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _CONFIGURATION},
        "data": {"metricsConfig": "enabled: false\n"},
    }


def run(shape: Shape, name: str) -> dict[str, Any]:
    """The manifest of one run: steps if the shape is a chain, else a DAG; all of one template."""
    work = {
        "name": "work",
        "metadata": {"annotations": {DURATION: f"{shape.seconds:g}s"}},
        # With a command, it does not ask the registry for the image's.
        "container": {"image": "busybox:1", "command": ["work"]},
    }
    whole: dict[str, Any] = {"name": "whole"}
    if shape.is_chain:
        whole["steps"] = [[{"name": step.name, "template": "work"}] for step in shape.steps]
    else:
        tasks = [
            {"name": step.name, "template": "work", "dependencies": list(step.after)} for step in shape.steps
        ]
        whole["dag"] = {"tasks": tasks}
    return _manifest(name, {"entrypoint": "whole", "templates": [whole, work]})


def _manifest(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": WORKFLOWS.api_version, "kind": "Workflow", "metadata": {"name": name}, "spec": spec}
