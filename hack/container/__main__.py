"""The command line: `python -m container build | load`."""

import argparse
import os
import sys
from collections.abc import Mapping

from localcluster import choose, kind
from localcluster.choose import Embedded, Kind, Named
from localcluster.cluster import LocalCluster
from localcluster.demonstration import BuildPaths
from localcluster.errors import ClusterError
from localcluster.progress import say

from . import build


def main() -> int:
    """Run the command; 0 if it succeeded."""
    parser = argparse.ArgumentParser(prog="container", description="Nightcrawler's container image.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build it if it is out of date, and print the path of its archive")
    commands.add_parser("load", help="load it into the cluster of `make cluster-up`")
    command = parser.parse_args().command
    try:
        if command == "build":
            print(build.archive())
        else:
            load(BuildPaths())
    except ClusterError as error:
        print(f"[cluster] {error}", file=sys.stderr)
        return 1
    return 0


def load(paths: BuildPaths, environment: Mapping[str, str] = os.environ) -> None:
    """Load the image into the nodes of the cluster of `make cluster-up`.

    Raises:
        ClusterError: If there is no such cluster, or its nodes are not managed here.
    """
    match choose.choose(environment, kind.works, paths.kubeconfig):
        case Named(kubeconfig):
            raise ClusterError(
                f"The cluster of {kubeconfig} is not managed here, so its nodes cannot be given an image. "
                "Push what `make images` has built to the registry that they use (docker load, docker tag, "
                "docker push), and set the chart's image.repository."
            )
        case Kind():
            kind.load(build.archive())
        case Embedded():
            LocalCluster.open(paths.cluster).load_image(build.archive())
    say(f"the cluster has the image {build.name()}")


if __name__ == "__main__":
    sys.exit(main())
