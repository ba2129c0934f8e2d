"""`python -m tests.bench [--short] [row …]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from tests.bench.rows import cost, handover, start
from tests.bench.sizes import SHORT, Sizes

Row = Callable[[Sizes], Coroutine[Any, Any, dict[str, float]]]
ROWS: Final[dict[str, Row]] = {"start": start.measure, "handover": handover.measure, "cost": cost.measure}


def main() -> None:
    """Measure the rows that are named, or all, and write them down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Nightcrawler.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of: {', '.join(ROWS)}; default: all")
    parser.add_argument("--short", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="where the figures go")
    chosen = parser.parse_args()
    unknown = [row for row in chosen.rows if row not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are: {', '.join(ROWS)}")
    sizes = SHORT if chosen.short else Sizes()
    figures = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen.rows or ROWS:
        began = time.monotonic()
        print(f"{name}: measuring …", flush=True)
        figures[name] = asyncio.run(ROWS[name](sizes))
        chosen.out.write_text(json.dumps(figures, indent=2) + "\n")
        told = ", ".join(f"{key} {value:g}" for key, value in figures[name].items())
        print(f"{name}: {told}  ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"written to {chosen.out}")


if __name__ == "__main__":
    main()
