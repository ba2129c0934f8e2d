"""`python -m demo up` and `down`; `make demo` and `make cluster-down` call them."""

from __future__ import annotations

import argparse
import os
import sys

from demo import services, story
from demo.cluster import ROOT
from demo.terminal import DemoError


def main() -> int:
    """Run one of the two; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    what = parser.parse_args().what
    os.chdir(ROOT)  # the printed commands name files relative to the root
    try:
        if what == "up":
            story.up()
        else:
            story.down()
    except DemoError as error:
        sys.stdout.flush()
        print(f"\n{services.explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What has started keeps running; `make cluster-down` stops it.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
