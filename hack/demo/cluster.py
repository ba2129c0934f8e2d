"""The demo's cluster: starts it, and gives it Environments that fit its nodes, and compute profiles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from demo.terminal import DemoError, say, shown
from localcluster import ClusterError, debian

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build"
KUBECONFIG: Final = BUILD / "kubeconfig"
ENVIRONMENTS: Final = ROOT / "examples" / "environments.yaml"
PROFILES: Final = ROOT / "examples" / "compute-profiles.yaml"
POOL: Final = "nightcrawler.dev/pool"


@dataclass(frozen=True)
class Capabilities:
    """What a cluster can run: `real`: programs in real Pods; `gpu`: steps with a GPU."""

    real: bool
    gpu: bool


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the kubeconfig of a cluster; it is printed without it, as after `export KUBECONFIG`."""

    program: str
    kubeconfig: Path

    def show(self, *arguments: str) -> str:
        """Print the command, run it, print and return its output; DemoError if it fails."""
        return shown(["kubectl", *arguments], env=self.environment(), program=self.program)

    def ask(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of a command that is not printed; DemoError if it fails."""
        ended = subprocess.run(
            [self.program, *arguments],
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise DemoError(f"`kubectl {' '.join(arguments)}` failed: {ended.stderr.strip()}")
        return ended.stdout

    def environment(self) -> dict[str, str]:
        """Our environment with the kubeconfig; helm takes it too."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


def need_curl() -> None:
    """Check for curl before the long work begins; as root on Debian, install it.

    Raises:
        DemoError: It is missing and cannot be installed.
    """
    if shutil.which("curl") is not None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise DemoError("The demo talks to the REST API with curl. Install curl and try again.")
    try:
        debian.ensure({"curl": "curl"})
    except ClusterError as error:
        raise DemoError(str(error)) from None


def bring_up(*images: Path) -> Kubectl:
    """Start the cluster, or find it running; it prints its own progress.

    Args:
        images: Archives of images that its real nodes are to have.

    Raises:
        DemoError: It does not start, or there is no kubectl.
    """
    command = [sys.executable, "-m", "localcluster", "up", *(f"--image={archive}" for archive in images)]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    if ended.returncode != 0:
        raise DemoError("The cluster did not start; the lines above say what to do.")
    built = BUILD / "bin" / "kubectl"
    program = str(built) if built.exists() else shutil.which("kubectl")
    if program is None:
        raise DemoError("There is no kubectl, neither in build/bin nor on PATH. Install it and try again.")
    return Kubectl(program, KUBECONFIG)


def nodes_of(kubectl: Kubectl) -> list[dict[str, Any]]:
    """The cluster's nodes."""
    nodes: list[dict[str, Any]] = json.loads(kubectl.ask("get", "nodes", "--output=json"))["items"]
    return nodes


def has_real_node(nodes: Sequence[dict[str, Any]]) -> bool:
    """Whether any of the nodes runs programs."""
    return any(not _is_simulated(node) for node in nodes)


def add_environments(kubectl: Kubectl) -> Capabilities:
    """Apply Environments, as they fit, and compute profiles; return what this cluster can run."""
    nodes = nodes_of(kubectl)
    shipped = [document for document in yaml.safe_load_all(ENVIRONMENTS.read_text()) if document]
    fitting = environments(shipped, nodes)
    if fitting == shipped:
        kubectl.show("apply", "-f", str(ENVIRONMENTS.relative_to(ROOT)))
    else:
        say(f"(The Environments of {ENVIRONMENTS.relative_to(ROOT)}, changed to fit this cluster's nodes:)")
        say(kubectl.ask("apply", "--filename=-", stdin=yaml.safe_dump_all(fitting)).rstrip())
    kubectl.show("apply", "-f", str(PROFILES.relative_to(ROOT)))
    return Capabilities(
        real=has_real_node(nodes),
        gpu=any(environment["metadata"]["name"] == "gpu" for environment in fitting),
    )


def environments(shipped: Sequence[dict[str, Any]], nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The shipped Environments, changed so that each has nodes on this cluster.

    If the nodes have the pool labels of the embedded cluster, nothing changes. Without a `local` pool, the
    Environment `local` selects all real nodes, or, if kwok simulates all nodes, those. Without a `gpu` pool
    there is no Environment `gpu`.
    """
    pools = {node["metadata"].get("labels", {}).get(POOL) for node in nodes}
    local, gpu = (next(e for e in shipped if e["metadata"]["name"] == name) for name in ("local", "gpu"))
    if "local" not in pools:
        spec = {key: value for key, value in local["spec"].items() if key != "nodeSelector"}
        if nodes and not has_real_node(nodes):
            spec["tolerations"] = gpu["spec"]["tolerations"]
        local = {**local, "spec": spec}
    return [local, gpu] if "gpu" in pools else [local]


def _is_simulated(node: dict[str, Any]) -> bool:
    return "kwok.x-k8s.io/node" in {
        *node["metadata"].get("labels", {}),
        *node["metadata"].get("annotations", {}),
    }
