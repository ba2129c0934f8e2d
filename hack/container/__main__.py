"""The command line: `python -m container build | load`."""

import argparse
import os
import sys
from collections.abc import Mapping

from localcluster import choose, kind
from localcluster.choose import Embedded, Kind, Named
from localcluster.cluster import LocalCluster
from localcluster.demonstration import Places
from localcluster.errors import ClusterError
from localcluster.host import run
from localcluster.progress import heartbeat, say

from . import build


def main() -> int:
    """Do what the argument says; 0 if it went well."""
    parser = argparse.ArgumentParser(prog="container", description="Nightcrawler's container image.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build it, or find it built, and print where its archive is")
    commands.add_parser("load", help="give it to the cluster of `make cluster-up`")
    command = parser.parse_args().command
    try:
        if command == "build":
            print(build.archive())
        else:
            load(Places())
    except ClusterError as error:
        print(f"[cluster] {error}", file=sys.stderr)
        return 1
    return 0


def load(places: Places, environment: Mapping[str, str] = os.environ) -> None:
    """Give the image to the nodes of the cluster of `make cluster-up`.

    Raises:
        ClusterError: If there is no such cluster, or it is one whose nodes are not ours.
    """
    match choose.choose(environment, kind.works, places.kubeconfig):
        case Named(kubeconfig):
            raise ClusterError(
                f"The nodes of the cluster of {kubeconfig} are not ours to write to. Push what `make images` "
                "has made to the registry that they use (docker load, docker tag, docker push), and name it "
                "in the chart's image.repository."
            )
        case Kind():
            archive = build.archive()
            with heartbeat("giving the image to kind's node"):
                run("kind", "load", "image-archive", str(archive), f"--name={kind.NAME}")
        case Embedded():
            LocalCluster.open(places.cluster).load_image(build.archive())
    say(f"the cluster has the image {build.name()}")


if __name__ == "__main__":
    sys.exit(main())
