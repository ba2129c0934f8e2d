"""`python -m demo up | dev | down`, for `make demo`, `make kind-demo`, `make dev` and `make cluster-down`."""

from __future__ import annotations

import argparse
import os
import sys

from demo import services, walkthrough
from demo.cluster import ROOT
from demo.terminal import DemoError
from localcluster import ClusterError


def main() -> int:
    """Run one of them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="operator and facade installed by the Helm chart")
    up.add_argument("--kind", action="store_true", help="in a cluster made with kind, or not at all")
    commands.add_parser("dev", help="operator and facade as processes on this host")
    commands.add_parser("down", help="stop what runs on this host")
    arguments = parser.parse_args()
    os.chdir(ROOT)  # the printed commands name files relative to the root
    try:
        match arguments.command:
            case "up":
                walkthrough.up(in_kind=arguments.kind)
            case "dev":
                walkthrough.dev()
            case _:
                walkthrough.down()
    except (DemoError, ClusterError) as error:
        sys.stdout.flush()
        print(f"\n{services.explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What has started keeps running; `make cluster-down` stops it.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
