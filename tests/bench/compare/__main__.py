"""`python -m tests.bench.compare --controller FILE --crds FOLDER [--flags=FLAGS] [row …]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import machine, rows
from tests.bench.compare import report
from tests.bench.compare.contenders import Contender, contenders, turns
from tests.bench.engines.argo import PROFILES, flags_of, manifests_in
from tests.bench.record import Record, details_path
from tests.bench.sizes import FULL, SHORT, Sizes
from tests.bench.taking import take

_REPEATS: Final = 3


def main() -> None:
    """Compare, write down what was found, and show it."""
    chosen = _arguments()
    sizes = SHORT if chosen.short else FULL if chosen.full else Sizes()
    repeats = chosen.repeats or (1 if chosen.short else _REPEATS)
    profiles = list(dict.fromkeys(chosen.profile or ["tuned"]))
    partakers = contenders(chosen.controller, chosen.crds, profiles, flags_of(chosen.flags))
    chosen.out.unlink(missing_ok=True)
    details_path(chosen.out).unlink(missing_ok=True)
    failed = compare(partakers, chosen.rows or rows.COMPARABLE, sizes, repeats, chosen.out)
    if details_path(chosen.out).exists():
        print(report.section(json.loads(details_path(chosen.out).read_text()))[0])
    print(f"written to {chosen.out}")
    if failed:
        sys.exit(f"not measured every time: {', '.join(sorted(failed))}")


def compare(
    partakers: Sequence[Contender], names: Sequence[str], sizes: Sizes, repeats: int, out: Path
) -> set[str]:
    """Measure these rows so often through each; what could not be measured every time."""
    by_label = {one.label: one for one in partakers}
    records = {label: Record(out, label) for label in by_label}
    for label, record in records.items():
        record.begin(names, sizes, {**machine.stamp(), "engine": by_label[label].stamp})
    failed = set()
    for name, label in turns(names, list(by_label), repeats):
        measuring = partial(rows.row_of_engine(name), sizes, by_label[label].engine)
        if not take(name, measuring, records[label], title := f"{name}, {by_label[label].title}"):
            failed.add(title)
    return failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.compare", description="Compare Nightcrawler with Argo's controller."
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of: {', '.join(rows.COMPARABLE)}")
    parser.add_argument("--controller", type=_program, required=True, help="Argo's workflow-controller")
    parser.add_argument(
        "--crds", type=_crds, required=True, help="a folder with the manifests of its custom resources"
    )
    parser.add_argument("--flags", default="", help="further flags of the controller, in one word")
    parser.add_argument(
        "--profile",
        action="append",
        choices=list(PROFILES),
        help="how the controller is set up; may be given several times (default tuned)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="small sizes, once: a first look")
    size.add_argument("--full", action="store_true", help="the largest sizes")
    parser.add_argument("--repeats", type=int, help=f"how often (default {_REPEATS}; 1 with --short)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench-compare.json"), help="where the figures go"
    )
    chosen = parser.parse_args()
    unknown = [row for row in chosen.rows if row not in rows.COMPARABLE]
    if unknown:
        parser.error(f"{unknown[0]!r} cannot be compared; what can: {', '.join(rows.COMPARABLE)}")
    return chosen


def _program(word: str) -> Path:
    path = Path(word).absolute()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise argparse.ArgumentTypeError(f"{word!r} is no program")
    return path


def _crds(word: str) -> Path:
    path = Path(word)
    if not manifests_in(path):
        raise argparse.ArgumentTypeError(f"{word!r} has no manifests argoproj.io_*.yaml")
    return path


if __name__ == "__main__":
    main()
