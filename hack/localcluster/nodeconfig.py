"""What containerd, the CNI plugins, the kubelet and kube-proxy of the real node read. Pure: no I/O.

Paths are those inside the node's mount namespace, where the usual places of a
node are folders of the cluster's own (see `COVERED`).
"""

from pathlib import Path
from typing import Any

from .components import SERVICE_CIDR, Plan
from .credentials import NODE_NAME

POD_CIDR = "10.244.0.0/16"
# Nothing listens there: without DNS in the cluster, a look-up is refused at once.
DNS_ADDRESS = "10.96.0.10"
BRIDGE = "cni0"
KUBE_PROXY_HEALTH_PORT = 10256
PAUSE_IMAGE = "nightcrawler.dev/pause:1"
SOCKET = "unix:///run/containerd/containerd.sock"
# The places of a node that programs insist on or that need short paths, by folder below `node/`.
COVERED = {
    "kubelet": Path("/var/lib/kubelet"),
    "containerd": Path("/var/lib/containerd"),
    "containerd-run": Path("/run/containerd"),
    "cni": Path("/var/lib/cni"),
    "pod-logs": Path("/var/log/pods"),
    "container-logs": Path("/var/log/containers"),
}
# Settings of the kernel that a kubelet writes for the whole machine. Inside, plain files cover them:
# a cluster for trying things out must not decide whether a developer's machine panics.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def containerd(cni_configuration: Path, cni_plugins: Path) -> str:
    """The configuration of containerd, in TOML."""
    return f"""\
version = 2
root = "{COVERED["containerd"]}"
state = "{COVERED["containerd-run"]}"
# This one makes /opt/containerd on the host.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
address = "{SOCKET.removeprefix("unix://")}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# Without the right to lower a process's OOM score, as in many sandboxes, runc would fail otherwise.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_plugins}"
conf_dir = "{cni_configuration}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def cni() -> dict[str, Any]:
    """The network of the Pods: a bridge inside the cluster's network namespace."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def rules() -> str:
    """Rules for nft, besides those that kube-proxy writes.

    What leaves the cluster for the host carries the cluster's address. What is still for a Service's
    address after kube-proxy's translation has no endpoint, and is rejected; the priorities are just before
    those at which kube-proxy would drop it, and a look-up would wait for a time-out.
    """
    return f"""\
table ip nightcrawler {{
  chain forward {{
    type filter hook forward priority filter - 20; policy accept;
    ip daddr {SERVICE_CIDR} reject
  }}
  chain output {{
    type filter hook output priority -95; policy accept;
    ip daddr {SERVICE_CIDR} reject
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {POD_CIDR} oifname "eth0" masquerade
  }}
}}
"""


def kubelet(plan: Plan, cgroup: str) -> dict[str, Any]:
    """The configuration of the kubelet."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": plan.host,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": plan.pki("ca.crt")},
        },
        # Only the API server has a certificate for it.
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": plan.pki("server.crt"),
        "tlsPrivateKeyFile": plan.pki("server.key"),
        "containerRuntimeEndpoint": SOCKET,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        # The host's disk and memory are the developer's; a nearly full disk must not evict the Pods.
        "evictionHard": {},
        "enforceNodeAllocatable": [],
        # There is no registry to fetch them from again.
        "imageGCHighThresholdPercent": 100,
    }


def kubelet_arguments(plan: Plan, configuration: Path) -> list[str]:
    """The arguments of the kubelet that its configuration has no words for."""
    return [
        f"--config={configuration}",
        f"--kubeconfig={plan.kubeconfig(f'system:node:{NODE_NAME}')}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={plan.host}",
        "--node-labels=nightcrawler.dev/pool=local",
        *plan.extra_args.get("kubelet", ()),
    ]


def kube_proxy(plan: Plan) -> dict[str, Any]:
    """The configuration of kube-proxy."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(plan.kubeconfig("system:kube-proxy"))},
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": POD_CIDR,
        "healthzBindAddress": f"{plan.host}:{KUBE_PROXY_HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # Settings for the connections of the whole machine are not for it to change.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
