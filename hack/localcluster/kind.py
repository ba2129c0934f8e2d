"""A cluster with kind, where a Docker engine runs.

It pulls the public images itself. It has no simulated GPU nodes: a step that asks
for a GPU waits there, and says why.
"""

import shutil
import subprocess
from pathlib import Path

from .errors import ClusterError
from .progress import heartbeat, say

NAME = "nightcrawler"
CONFIGURATION = Path(__file__).parent.parent / "kind.yaml"
_ENGINE_PATIENCE = 5.0


def engine_answers() -> bool:
    """Whether there is a Docker engine, not only its client."""
    if shutil.which("docker") is None:
        return False
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=_ENGINE_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0 and bool(answer.stdout.strip())


def works() -> bool:
    """Whether there is a Docker engine, and kind to use it; without kind, that is said."""
    if not engine_answers():
        return False
    if shutil.which("kind") is None:
        say("a Docker engine answers, but there is no `kind` to make a cluster with: taking the embedded one")
        return False
    return True


def is_up() -> bool:
    """Whether our kind cluster is there."""
    return NAME in _kind("get", "clusters").split()


def up(kubeconfig: Path) -> None:
    """Make the cluster unless it is there, and write its kubeconfig.

    Raises:
        ClusterError: If kind is missing or fails.
    """
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    if not is_up():
        with heartbeat("starting a cluster with kind"):
            _kind("create", "cluster", f"--name={NAME}", f"--config={CONFIGURATION}", "--wait=120s")
    _kind("export", "kubeconfig", f"--name={NAME}", f"--kubeconfig={kubeconfig}")


def load(archive: Path) -> None:
    """Give the cluster's nodes the images of an archive.

    Raises:
        ClusterError: If kind is missing or fails.
    """
    with heartbeat(f"giving kind's node {archive.name}"):
        _kind("load", "image-archive", str(archive), f"--name={NAME}")


def down() -> None:
    """Delete the cluster.

    Raises:
        ClusterError: If kind is missing or fails.
    """
    _kind("delete", "cluster", f"--name={NAME}")


def require() -> None:
    """Check that a cluster can be made with kind.

    Raises:
        ClusterError: If no Docker engine answers, or kind is missing.
    """
    if not engine_answers():
        raise ClusterError(
            "kind makes clusters with Docker, and no Docker engine answers. Start it, or use `make demo`, "
            "which does without."
        )
    _require_program()


def _require_program() -> None:
    if shutil.which("kind") is None:
        raise ClusterError(
            "A Docker engine answers, but there is no `kind` to make a cluster with. Install it "
            "(`go install sigs.k8s.io/kind@latest`), or name a cluster in NIGHTCRAWLER_KUBECONFIG, "
            "or take the embedded one (`python -m localcluster up --embedded`)."
        )


def _kind(*arguments: str) -> str:
    _require_program()
    ended = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise ClusterError(f"`kind {' '.join(arguments)}` failed:\n{ended.stderr.strip()}")
    return ended.stdout
