"""kwok beside a control plane: simulated nodes, for GPUs and for measuring."""

import json
import shutil
from pathlib import Path

from . import binaries, fakenodes
from .api import Api, RefusedError
from .components import LOOPBACK, Plan
from .errors import ClusterError
from .fakenodes import FakeNode
from .supervisor import Supervisor

NAME = "kwok"
_STAGES = Path(__file__).parent / "stages"
_USAGE = Path(__file__).parent / "usage.yaml"
_PATIENCE = 30.0


def start(supervisor: Supervisor, plan: Plan) -> None:
    """Start kwok with the stages of this package, unless it runs already."""
    if supervisor.is_alive(NAME):
        return
    configuration = plan.folder / "kwok"
    shutil.copytree(_STAGES, configuration, dirs_exist_ok=True)
    options = configuration / "options.yaml"
    options.write_text(json.dumps(_options(plan)))
    files = [options, *sorted(configuration.glob("[np]*.yaml")), _USAGE]
    supervisor.start(
        NAME,
        [
            str(binaries.kwok()),
            f"--kubeconfig={plan.kubeconfig(NAME)}",
            *(f"--config={file}" for file in dict.fromkeys(files)),
            *plan.extra_args.get(NAME, ()),
        ],
    )


def add(supervisor: Supervisor, api: Api, nodes: list[FakeNode]) -> None:
    """Create nodes and wait until each is ready; those that are there already are left as they are."""
    for node in nodes:
        try:
            api.post("/api/v1/nodes", fakenodes.manifest(node))
        except RefusedError as refusal:
            if refusal.status != 409:
                raise ClusterError(f"The API server refused the node {node.name}: {refusal}") from refusal
    for node in nodes:
        path = f"/api/v1/nodes/{node.name}"
        supervisor.wait(
            lambda path=path: is_ready(api.get(path)),  # type: ignore[misc]
            f"the node {node.name} was ready",
            _PATIENCE,
            (NAME, "kube-apiserver"),
        )


def is_ready(node: dict[str, object]) -> bool:
    """Whether a node is ready and has no taint of one that is not."""
    status, spec = node.get("status"), node.get("spec")
    assert isinstance(status, dict)
    assert isinstance(spec, dict)
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
    taints = [taint["key"] for taint in spec.get("taints", ())]
    return ready and "node.kubernetes.io/not-ready" not in taints


def _options(plan: Plan) -> dict[str, object]:
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "manageAllNodes": False,
            # By label, not by annotation: only then does kwok see a node that is taken away from it.
            "manageNodesWithLabelSelector": f"{fakenodes.MANAGED}=fake",
            "nodeIP": LOOPBACK,
            "nodePort": plan.ports[NAME],
            "serverAddress": f"{LOOPBACK}:{plan.ports[NAME]}",
            "cidr": "10.245.0.0/16",
            # metrics-server asks by TLS only.
            "tlsCertFile": plan.pki("server.crt"),
            "tlsPrivateKeyFile": plan.pki("server.key"),
            "podPlayStageParallelism": 16,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
            "nodeLeaseDurationSeconds": 40,
            "enablePodsOnNodeSyncListPager": False,
            "enablePodsOnNodeSyncStreamWatch": True,
            "enableCRDs": [],
        },
    }
