"""The command lines of the control plane's components. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .certificates import PROXY

SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
LOOPBACK = "127.0.0.1"
# In the order in which they are started; they end in the opposite one.
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# Where nothing else listens, the ports by which everybody knows them.
USUAL_PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "kube-apiserver": 6443,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
    "kwok": 10247,
    "metrics-server": 10270,
}
PORTS = tuple(USUAL_PORTS)


@dataclass(frozen=True)
class Plan:
    """What a control plane's command lines are made from.

    Attributes:
        folder: The cluster's folder.
        programs: The folder of the built components.
        host: The address at which the cluster's servers listen.
        ports: The port of each of `PORTS`.
        pods_reach_it: Whether Pods run that talk to the API server.
        extra_args: Further arguments for each component; they win over ours.
        audit: Whether the API server writes every request to `audit.log`.
    """

    folder: Path
    programs: Path
    host: str
    ports: Mapping[str, int]
    pods_reach_it: bool = False
    extra_args: Mapping[str, Sequence[str]] = field(default_factory=dict)
    audit: bool = False

    @property
    def server_url(self) -> str:
        """Where the API server is."""
        return self.url("kube-apiserver")

    def url(self, component: str) -> str:
        """Where a component of the control plane answers."""
        return f"https://{self.host}:{self.ports[component]}"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of the cluster's own parts."""
        return self.folder / "kubeconfigs" / user.replace(":", "-")

    def pki(self, name: str) -> str:
        """The path of a key or certificate."""
        return str(self.folder / "pki" / name)


def command(plan: Plan, component: str) -> list[str]:
    """The program and arguments of a component of the control plane."""
    build = _ARGUMENTS[component]
    return [str(plan.programs / component), *build(plan), *plan.extra_args.get(component, ())]


def audit_policy() -> str:
    """An audit policy that counts every request once, without bodies. JSON is YAML too."""
    return (
        '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], '
        '"rules": [{"level": "Metadata"}]}\n'
    )


def _etcd(plan: Plan) -> list[str]:
    client = f"http://{LOOPBACK}:{plan.ports['etcd']}"
    peer = f"http://{LOOPBACK}:{plan.ports['etcd-peer']}"
    return [
        f"--data-dir={plan.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # This data need not survive a power cut, and fsync would slow down every write.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(plan: Plan) -> list[str]:
    return [
        f"--etcd-servers=http://{LOOPBACK}:{plan.ports['etcd']}",
        f"--bind-address={plan.host}",
        f"--secure-port={plan.ports['kube-apiserver']}",
        f"--advertise-address={plan.host}",
        # A loopback address is refused as an endpoint of the Service `kubernetes`.
        *([] if plan.pods_reach_it else ["--endpoint-reconciler-type=none"]),
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        "--allow-privileged=true",
        f"--token-auth-file={plan.folder / 'tokens.csv'}",
        f"--tls-cert-file={plan.pki('server.crt')}",
        f"--tls-private-key-file={plan.pki('server.key')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={plan.pki('sa.key')}",
        f"--service-account-signing-key-file={plan.pki('sa.key')}",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        f"--kubelet-certificate-authority={plan.pki('ca.crt')}",
        f"--kubelet-client-certificate={plan.pki('client.crt')}",
        f"--kubelet-client-key={plan.pki('client.key')}",
        # For servers behind it, such as metrics-server.
        f"--requestheader-client-ca-file={plan.pki('ca.crt')}",
        f"--requestheader-allowed-names={PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={plan.pki('proxy.crt')}",
        f"--proxy-client-key-file={plan.pki('proxy.key')}",
        *(_audit(plan) if plan.audit else []),
    ]


def _audit(plan: Plan) -> list[str]:
    return [
        f"--audit-policy-file={plan.folder / 'audit-policy.yaml'}",
        f"--audit-log-path={plan.folder / 'audit.log'}",
        "--audit-log-maxsize=2000",  # in MB; a file that is changed for a new one would be half the count
    ]


def _controller_manager(plan: Plan) -> list[str]:
    kubeconfig = plan.kubeconfig("system:kube-controller-manager")
    return [
        *_delegating(plan, "kube-controller-manager", kubeconfig),
        f"--service-account-private-key-file={plan.pki('sa.key')}",
        f"--root-ca-file={plan.pki('ca.crt')}",
    ]


def _scheduler(plan: Plan) -> list[str]:
    return _delegating(plan, "kube-scheduler", plan.kubeconfig("system:kube-scheduler"))


def _delegating(plan: Plan, component: str, kubeconfig: Path) -> list[str]:
    """What the controller manager and the scheduler have in common."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--authentication-skip-lookup=true",
        f"--bind-address={plan.host}",
        f"--secure-port={plan.ports[component]}",
        f"--tls-cert-file={plan.pki('server.crt')}",
        f"--tls-private-key-file={plan.pki('server.key')}",
        "--leader-elect=false",
    ]


_ARGUMENTS = {
    "etcd": _etcd,
    "kube-apiserver": _apiserver,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
}
