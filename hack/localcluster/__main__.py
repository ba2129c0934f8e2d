"""The command line: `python -m localcluster up | down | status | prepare`."""

import argparse
import os
import sys
from pathlib import Path

from . import binaries, choose, demonstration, imagestore, kind, processes
from .choose import Embedded, Kind, Named
from .cluster import LocalCluster
from .demonstration import BuildPaths
from .errors import ClusterError
from .progress import say


def main() -> int:
    """Run the command; the exit code."""
    arguments = _parser().parse_args()
    paths = BuildPaths(arguments.build.absolute())
    try:
        if arguments.command == "up":
            _up(paths, arguments)
        elif arguments.command == "down":
            demonstration.down(paths)
        elif arguments.command == "status":
            _status(paths)
        else:
            _prepare(node=arguments.node)
    except ClusterError as error:
        print(f"[cluster] {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcluster", description="A Kubernetes cluster to try out.")
    parser.add_argument(
        "--build", type=Path, default=BuildPaths().build, help="where it leaves kubeconfig and its own folder"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it, or find it running")
    up.add_argument("--embedded", action="store_true", help="neither a named cluster nor kind")
    up.add_argument("--kwok-nodes", type=int, default=2, help="how many nodes with eight GPUs kwok simulates")
    up.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        help="an archive of images that real nodes are to have, as `docker save` writes it",
    )
    commands.add_parser("down", help="end it and leave nothing")
    commands.add_parser("status", help="show what runs")
    prepare = commands.add_parser("prepare", help="build what it needs, and no more")
    for command in (up, prepare):
        command.add_argument("--no-node", dest="node", action="store_false", help="no real node, so no root")
    return parser


def _up(paths: BuildPaths, arguments: argparse.Namespace) -> None:
    wanted = choose.choose(os.environ, kind.works, paths.kubeconfig)
    match Embedded() if arguments.embedded else wanted:
        case Named(kubeconfig):
            demonstration.up_named(paths, kubeconfig)
        case Kind():
            demonstration.up_kind(paths, arguments.image)
        case Embedded():
            demonstration.up_embedded(
                paths, arguments.image, node=arguments.node, kwok_nodes=arguments.kwok_nodes
            )
    print(f"export KUBECONFIG={paths.kubeconfig}")


def _status(paths: BuildPaths) -> None:
    cluster = LocalCluster.open(paths.cluster)
    print(f"{'component':<26}{'pid':>8}{'memory':>10}")
    for name, pid in cluster.pids().items():
        memory = f"{processes.memory(pid) >> 20} MiB" if cluster.is_alive(name) else "dead"
        print(f"{name:<26}{pid:>8}{memory:>10}")
    print(cluster.kubectl("get", "nodes", "--output=wide"), end="")


def _prepare(*, node: bool) -> None:
    binaries.kube()
    binaries.kwok()
    binaries.local_path_provisioner()
    binaries.metrics_server()
    for major in binaries.HELM:
        binaries.helm(major)
    binaries.s3_server()
    for version in binaries.OTHER_KUBERNETES:
        binaries.openapi(version)
    if not node:
        return
    if os.geteuid() == 0:
        imagestore.store()
    else:
        say("not root: no real node, so no images are made")


if __name__ == "__main__":
    sys.exit(main())
