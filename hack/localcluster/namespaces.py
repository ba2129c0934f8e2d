"""The network and mount namespaces of a cluster with a real node.

A node's bridge, nftables rules, ports and mounts would be the host's, so each
such cluster has a network namespace and a mount namespace of its own. The
host sees one veth interface, `nc-N`, with a /30 out of 198.18.0.0/15 (set
aside by RFC 2544 for tests on one's own network); the cluster's servers
listen on the other end's address. There is no default route: Pods reach the
cluster and the host, and nothing beyond, so a missing image fails at once.

All that is the host's of it is below `/run/nightcrawler-cluster/nc-N`, a
folder that is made first and removed last, so that what a killed starter left
can be found. Claims and releases are made one at a time, under `lock`.
"""

import fcntl
import functools
import ipaddress
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from . import processes
from .components import SERVICE_CIDR
from .errors import ClusterError
from .host import program, run
from .processes import Started

BASE = Path("/run/nightcrawler-cluster")
_ADDRESSES = ipaddress.IPv4Network("198.18.0.0/15")
_PREFIX = "nc-"
_ADVICE = "The real node needs root with the right to make namespaces; --no-node does without it."


@dataclass(frozen=True)
class Network:
    """A claimed pair of namespaces.

    Attributes:
        name: Also of the host's interface and of the cgroup.
        host: The host's address.
        cluster: The cluster's address.
    """

    name: str
    host: str
    cluster: str

    @property
    def folder(self) -> Path:
        """Where the namespaces are held."""
        return BASE / self.name

    def enter(self, *, mounts: bool = False) -> list[str]:
        """What to put before a command line to run it inside."""
        of_mounts = [f"--mount={self.folder / 'mnt'}"] if mounts else []
        return [program("nsenter"), f"--net={self.folder / 'net'}", *of_mounts, "--"]


class Owner(msgspec.Struct):
    """Who claimed a name: the cluster's folder, and the process that starts it."""

    folder: str
    pid: int
    ticks: int


def network(name: str) -> Network:
    """The network of this name, `nc-N`."""
    subnet = _subnet(int(name.removeprefix(_PREFIX)))
    return Network(name, str(subnet[1]), str(subnet[2]))


def choose(names: Iterable[str], routes: Iterable[str]) -> str:
    """The first name that is free and whose addresses the host does not use. Pure.

    Args:
        names: Names in use.
        routes: Destinations of the host's routes, in CIDR notation.

    Raises:
        ClusterError: If there is none.
    """
    in_use = set(names)
    used = [ipaddress.IPv4Network(route, strict=False) for route in routes]
    for number in range(_ADDRESSES.num_addresses // 4):
        name = f"{_PREFIX}{number}"
        if name not in in_use and not any(_subnet(number).overlaps(route) for route in used):
            return name
    raise ClusterError(f"No addresses are left in {_ADDRESSES}; end some clusters (`make cluster-down`).")


@contextmanager
def lock() -> Iterator[None]:
    """One process at a time; the lock is on a folder that is always there, and so leaves nothing."""
    descriptor = os.open(BASE.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def claim(folder: Path) -> Network:
    """Take a free name and free addresses for the cluster in `folder`. Under the lock."""
    interfaces = [path.name for path in Path("/sys/class/net").iterdir()]
    chosen = network(choose([*names(), *interfaces], _routes()))
    chosen.folder.mkdir(parents=True)
    me = processes.myself()
    owner = Owner(folder=str(folder), pid=me.pid, ticks=me.ticks)
    (chosen.folder / "owner.json").write_bytes(msgspec.json.encode(owner))
    return chosen


def names() -> list[str]:
    """Every claimed name."""
    return sorted(path.name for path in BASE.glob(f"{_PREFIX}*"))


def owner(name: str) -> Owner | None:
    """Who claimed a name; None if its starter died before it had written that."""
    try:
        return msgspec.json.decode((BASE / name / "owner.json").read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def claimed_by(folder: Path) -> list[str]:
    """The names that are claimed for the cluster in `folder`."""
    owners = {name: owner(name) for name in names()}
    return [name for name, claimed in owners.items() if claimed is not None and claimed.folder == str(folder)]


def is_abandoned(name: str) -> bool:
    """Whether neither the starter of this cluster nor any of its processes lives."""
    claimed = owner(name)
    if claimed is None:
        return True
    starter = Started(claimed.pid, claimed.ticks)
    return not processes.is_alive(starter) and not processes.belonging_to(Path(claimed.folder))


def build(net: Network, mounts: Sequence[tuple[Path, Path]], cluster: Path) -> None:
    """Make the namespaces and the veth pair between them and the host. Under the lock.

    Args:
        net: What `claim` gave.
        mounts: What to mount where inside: folder or file, and the place that it covers.
        cluster: The cluster's folder.
    """
    do = functools.partial(run, cluster=cluster, advice=_ADVICE)
    do("mount", "--bind", str(net.folder), str(net.folder))
    # A mount namespace can only be held by a file on a mount that is not shared with others.
    do("mount", "--make-private", str(net.folder))
    held = {kind: net.folder / kind for kind in ("net", "mnt")}
    for file in held.values():
        file.touch()
    _make_places(target for _, target in mounts)
    binds = [shlex.join(("mount", "--bind", str(source), str(target))) for source, target in mounts]
    unshare = ("unshare", f"--net={held['net']}", f"--mount={held['mnt']}", "--propagation=slave")
    do(*unshare, "/bin/sh", "-c", " && ".join(binds))

    do("ip", "link", "add", net.name, "type", "veth", "peer", "name", "eth0", "netns", str(held["net"]))
    do("ip", "address", "add", f"{net.host}/30", "dev", net.name)
    do("ip", "link", "set", net.name, "up")
    inside = (*net.enter(), "ip")
    do(*inside, "link", "set", "lo", "up")
    do(*inside, "address", "add", f"{net.cluster}/30", "dev", "eth0")
    do(*inside, "link", "set", "eth0", "up")
    # A Service's address needs a route before kube-proxy's rules can turn it into a Pod's.
    do(*inside, "route", "add", SERVICE_CIDR, "via", net.host)


def release(name: str) -> None:
    """Remove a cluster's namespaces and interface; its processes have ended. Under the lock."""
    folder = BASE / name
    if not folder.exists():
        return
    run("ip", "link", "delete", name, check=False)
    mounted = Path("/proc/self/mountinfo").read_text()
    for path in (folder / "mnt", folder / "net", folder):
        if f" {path} " in mounted:
            run("umount", "--lazy", str(path))
    shutil.rmtree(folder)
    if not names():
        _remove_places()


def _make_places(targets: Iterable[Path]) -> None:
    """Make the folders on the host that a mount inside covers, and remember which were not there."""
    made = BASE / "made"
    for target in targets:
        if not target.exists():
            with made.open("a") as file:
                file.write(f"{target}\n")
            target.mkdir(parents=True)


def _remove_places() -> None:
    """Remove what `_make_places` made. Only when no cluster is left: it would unmount what covers it."""
    made = BASE / "made"
    if made.exists():
        for line in reversed(made.read_text().splitlines()):
            place = Path(line)
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        made.unlink()
    if BASE.is_dir():
        BASE.rmdir()


def _subnet(number: int) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network((int(_ADDRESSES.network_address) + 4 * number, 30))


def _routes() -> list[str]:
    routes = msgspec.json.decode(run("ip", "-json", "-4", "route", "show", "table", "all"))
    return [route["dst"] for route in routes if route["dst"] != "default"]
