"""Brings a control plane up: etcd, API server, controller manager, scheduler."""

from pathlib import Path

from . import certificates, components, credentials
from .api import Api
from .components import LOOPBACK, Plan
from .supervisor import Supervisor

_PATIENCE = 60.0
_STORAGE = ("etcd", "kube-apiserver")
_CLIENTS = ("kube-controller-manager", "kube-scheduler")


def prepare(plan: Plan, tokens: dict[str, str]) -> None:
    """Write what the components read: certificates and kubeconfigs."""
    names = ["localhost", "kubernetes.default.svc", "kubernetes.default", "kubernetes"]
    hosts = [*names, credentials.NODE_NAME, components.API_SERVICE_ADDRESS, LOOPBACK, plan.host]
    certificates.write(plan.folder / "pki", list(dict.fromkeys(hosts)))
    for user, token in tokens.items():
        credentials.write_kubeconfig(
            plan.kubeconfig(user),
            server=plan.server_url,
            authority=Path(plan.pki("ca.crt")),
            user=user,
            token=token,
        )
    if plan.audit:
        (plan.folder / "audit-policy.yaml").write_text(components.audit_policy())


def start(supervisor: Supervisor, plan: Plan, api: Api) -> None:
    """Start the components and wait until the API server is ready.

    Raises:
        PortTakenError: If a port was taken meanwhile; others may do.
        ClusterError: If a component ended or did not get ready.
    """
    for name in _STORAGE:
        supervisor.start(name, components.command(plan, name))
    supervisor.wait(lambda: api.is_ok("/readyz"), "the API server was ready", _PATIENCE, _STORAGE)
    for name in _CLIENTS:
        supervisor.start(name, components.command(plan, name))


def wait(supervisor: Supervisor, plan: Plan, api: Api) -> None:
    """Wait until Pods can be created and are scheduled.

    Raises:
        PortTakenError: If a port was taken meanwhile; others may do.
        ClusterError: If a component ended or did not get ready.
    """
    for name in _CLIENTS:
        supervisor.wait(
            lambda name=name: api.is_ok("/healthz", plan.url(name)),  # type: ignore[misc]
            f"{name} was healthy",
            _PATIENCE,
            (name, *_STORAGE),
        )
    # Without its namespace's service account a Pod is refused.
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    supervisor.wait(
        lambda: api.is_ok(account), "the default service account was there", _PATIENCE, (*_CLIENTS, *_STORAGE)
    )
