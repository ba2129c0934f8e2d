"""What Pods use: metrics-server beside a cluster, which then serves metrics.k8s.io.

It asks kubelets, and kwok for the Pods of simulated nodes, whose annotations say what they use
(`usage.yaml`).
"""

from typing import Any

from . import binaries
from .api import Api, RefusedError
from .components import Plan
from .supervisor import Supervisor

NAME = "metrics-server"
_GROUP = "metrics.k8s.io"
_WHERE = "kube-system"
_EVERY = "10s"  # its least


def start(supervisor: Supervisor, plan: Plan, api: Api) -> None:
    """Start it, unless it runs already; its first figures come some twenty seconds later."""
    if supervisor.is_alive(NAME):
        return
    for path, body in _objects(plan):
        try:
            api.post(path, body)
        except RefusedError as refusal:
            if refusal.status != 409:
                raise
    kubeconfig = plan.kubeconfig(NAME)
    supervisor.start(
        NAME,
        [
            str(binaries.metrics_server()),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={plan.host}",
            f"--secure-port={plan.ports[NAME]}",
            f"--tls-cert-file={plan.pki('server.crt')}",
            f"--tls-private-key-file={plan.pki('server.key')}",
            # A real node's kubelet takes certificates alone, and no token.
            f"--kubelet-client-certificate={plan.pki('client.crt')}",
            f"--kubelet-client-key={plan.pki('client.key')}",
            "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            f"--metric-resolution={_EVERY}",
            # A loaded node takes seconds for its figures; the most that the resolution allows.
            "--kubelet-request-timeout=9s",
            *plan.extra_args.get(NAME, ()),
        ],
    )


def _objects(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """The group's registration, with a Service that names the address of a process outside of the cluster."""
    return [
        (
            f"/api/v1/namespaces/{_WHERE}/services",
            {"metadata": {"name": NAME}, "spec": {"type": "ExternalName", "externalName": plan.host}},
        ),
        (
            "/apis/apiregistration.k8s.io/v1/apiservices",
            {
                "metadata": {"name": f"v1beta1.{_GROUP}"},
                "spec": {
                    "group": _GROUP,
                    "version": "v1beta1",
                    "service": {"namespace": _WHERE, "name": NAME, "port": plan.ports[NAME]},
                    "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                },
            },
        ),
    ]
