"""The real node: containerd, kubelet and kube-proxy in the cluster's own namespaces."""

import json
from collections.abc import Sequence
from pathlib import Path

from . import cgroups, debian, imagestore, kwok, namespaces, nodeconfig
from .api import Api
from .components import Plan
from .credentials import NODE_NAME
from .host import program, run
from .namespaces import Network
from .supervisor import Supervisor

_PATIENCE = 60.0


def prepare(folder: Path, archives: Sequence[Path]) -> Network:
    """Claim and build the namespaces of the cluster in `folder`, and put the images there. Needs root.

    Args:
        folder: The cluster's.
        archives: Images besides those that every node has.

    Raises:
        ClusterError: If that cannot be.
    """
    debian.ensure(debian.NODE, cni=True)
    node = folder / "node"
    for name in ("kernel", *nodeconfig.COVERED):
        (node / name).mkdir(parents=True)
    (node / "containerd").rmdir()
    imagestore.give_to(node / "containerd", folder, archives)
    with namespaces.lock():
        net = namespaces.claim(folder)
        namespaces.build(net, _mounts(node), folder)
    rules = node / "rules.nft"
    rules.write_text(nodeconfig.rules())
    run(*net.enter(), "nft", f"--file={rules}", cluster=folder)
    cgroups.make(net.name)
    return net


def start_containerd(supervisor: Supervisor, plan: Plan) -> None:
    """Start containerd; it needs nothing else."""
    folder = plan.folder / "node"
    plugins = debian.cni_plugins()
    assert plugins is not None
    networks = folder / "cni-conf"
    networks.mkdir()
    (networks / "10-pods.conflist").write_text(json.dumps(nodeconfig.cni()))
    configuration = folder / "containerd.toml"
    configuration.write_text(nodeconfig.containerd(networks, plugins))
    supervisor.start("containerd", [program("containerd"), f"--config={configuration}"], mounts=True)


def start(supervisor: Supervisor, plan: Plan, net: Network) -> None:
    """Start the kubelet and kube-proxy; they need containerd and the API server.

    Raises:
        ClusterError: If containerd does not answer.
    """
    folder = plan.folder / "node"
    supervisor.wait(
        (folder / "containerd-run" / "containerd.sock").exists,
        "containerd answered",
        _PATIENCE,
        ("containerd",),
    )
    configuration = folder / "kubelet.yaml"
    configuration.write_text(json.dumps(nodeconfig.kubelet(plan, net.name)))
    arguments = nodeconfig.kubelet_arguments(plan, configuration)
    supervisor.start("kubelet", [str(plan.programs / "kubelet"), *arguments], mounts=True)
    rules = folder / "kube-proxy.yaml"
    rules.write_text(json.dumps(nodeconfig.kube_proxy(plan)))
    proxy = [str(plan.programs / "kube-proxy"), f"--config={rules}", *plan.extra_args.get("kube-proxy", ())]
    supervisor.start("kube-proxy", proxy)


def load_image(folder: Path, archive: Path) -> None:
    """Import an archive of images into the node of the cluster in `folder`.

    Raises:
        ClusterError: If containerd refuses it.
    """
    socket = folder / "node" / "containerd-run" / "containerd.sock"
    ctr = ("ctr", f"--address={socket}", f"--namespace={imagestore.NAMESPACE}")
    run(*ctr, "images", "import", str(archive), cluster=folder)


def wait(supervisor: Supervisor, plan: Plan, api: Api) -> None:
    """Wait until the node takes Pods.

    Raises:
        ClusterError: If it does not.
    """
    path = f"/api/v1/nodes/{NODE_NAME}"
    supervisor.wait(
        lambda: api.is_ok(path) and kwok.is_ready(api.get(path)),
        f"the node {NODE_NAME} was ready",
        _PATIENCE,
        ("kubelet", "containerd", "kube-apiserver"),
    )
    health = f"http://{plan.host}:{nodeconfig.KUBE_PROXY_HEALTH_PORT}"
    supervisor.wait(
        lambda: api.is_ok("/healthz", health), "kube-proxy had written its rules", _PATIENCE, ("kube-proxy",)
    )


def _mounts(node: Path) -> list[tuple[Path, Path]]:
    """What covers what inside the mount namespace."""
    places = [(node / name, place) for name, place in nodeconfig.COVERED.items()]
    for name, value in nodeconfig.KERNEL_SETTINGS.items():
        file = node / "kernel" / name.replace("/", "-")
        file.write_text(f"{value}\n")
        places.append((file, Path("/proc/sys") / name))
    return places
