"""`python -m tests.bench [--short | --full] [--repeats N] [row …]`, and `--report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import machine, report, rows
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.record import Record
from tests.bench.sizes import FULL, SHORT, Sizes
from tests.bench.taking import take

_REPEATS: Final = 5


def main() -> None:
    """Measure the rows that are named, or all, and write them down."""
    chosen = _arguments()
    if chosen.report:
        print(f"written: {report.write(chosen.out, Path('docs'))}")
        return
    sizes = SHORT if chosen.short else FULL if chosen.full else Sizes()
    repeats = chosen.repeats or (1 if chosen.short else _REPEATS)
    names = chosen.rows or rows.known()
    NIGHTCRAWLER.settings = dict(chosen.set)
    record = Record(chosen.out)
    record.begin(names, sizes, machine.stamp() | ({"settings": dict(chosen.set)} if chosen.set else {}))
    failed = {
        name for name in turns(names, repeats) if not take(name, partial(rows.row(name), sizes), record)
    }
    print(f"written to {chosen.out}")
    if failed:
        sys.exit(f"not measured every time: {', '.join(sorted(failed))}")


def turns(names: Sequence[str], repeats: int) -> Iterator[str]:
    """Each row once a turn; every other turn backwards, so that none always comes after the same one."""
    for turn in range(repeats):
        yield from names if turn % 2 == 0 else reversed(names)


def _arguments() -> argparse.Namespace:
    known = rows.known()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Nightcrawler.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of: {', '.join(known)}; default: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="small sizes, once: a first look")
    size.add_argument("--full", action="store_true", help="the largest sizes")
    parser.add_argument("--repeats", type=int, help=f"how often (default {_REPEATS}; 1 with --short)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_setting,
        help="another setting of the operator, such as workers=64; may be repeated",
    )
    parser.add_argument(
        "--report", action="store_true", help="measure nothing: make docs/performance.md of what was measured"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="where the figures go")
    chosen = parser.parse_args()
    unknown = [row for row in chosen.rows if row not in known]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are: {', '.join(known)}")
    return chosen


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name.lower(), value


if __name__ == "__main__":
    main()
