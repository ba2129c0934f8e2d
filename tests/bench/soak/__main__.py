"""`python -m tests.bench.soak [--minutes N] [--kill-every SECONDS] [--rate RUNS] [--away]`; `--report`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench import machine
from tests.bench.soak import drive, report
from tests.bench.soak.drive import Plan, Soak
from tests.bench.soak.samples import sample_from
from tests.bench.soak.verdict import judge, levels, passed

_OUT: Final = Path("build/soak.json")
_OUT_AWAY: Final = Path("build/soak-away.json")


def main() -> None:
    """Soak, write down what was found, and say whether it was well."""
    chosen = _arguments()
    if chosen.report:
        report.show(json.loads(chosen.out.read_text()))
        return
    if chosen.remark:
        found = json.loads(chosen.out.read_text()) | {"remark": chosen.remark}
        chosen.out.write_text(json.dumps(found, indent=1) + "\n")
        return
    plan = Plan(minutes=chosen.minutes, kill_every=chosen.kill_every, rate=chosen.rate, away=chosen.away)
    before = _levels_of(chosen.against) if chosen.away else {}
    stamp = machine.stamp()
    print(f"soaking for {plan.minutes:g} minutes …", flush=True)
    soak = asyncio.run(drive.run(plan, lambda so_far: _keep(so_far, stamp, before, chosen.out)))
    found = _keep(soak, stamp, before, chosen.out)
    report.show(found)
    print(f"written to {chosen.out}")
    if not found["passed"]:
        sys.exit("the soak has found something")


def _levels_of(earlier: Path) -> dict[str, float]:
    """Start and hand-over of an earlier soak; none if there was none."""
    if not earlier.exists():
        return {}
    found = json.loads(earlier.read_text())
    return levels(found, [sample_from(sample) for sample in found["samples"]])


def _keep(soak: Soak, stamp: dict[str, Any], before: dict[str, float], out: Path) -> dict[str, Any]:
    found = {"stamp": stamp, "before": before, **drive.as_json(soak)}
    checks = judge(found, soak.samples)
    found = {"passed": passed(checks), "checks": [asdict(check) for check in checks], **found}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".part")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(out)
    return found


def _arguments() -> argparse.Namespace:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description="Soak Nightcrawler.")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="how long (default %(default)g)")
    parser.add_argument(
        "--kill-every",
        type=float,
        default=usual.kill_every,
        help="in seconds; 0: never (default %(default)g)",
    )
    parser.add_argument("--rate", type=float, default=usual.rate, help="runs a minute (default %(default)g)")
    parser.add_argument(
        "--report",
        action="store_true",
        help="run no soak: print the last result again (and "
        "`python -m tests.bench --report` puts it into docs/performance.md)",
    )
    parser.add_argument(
        "--remark", help="soak nothing: have the report say this of what was found last, such as its cause"
    )
    parser.add_argument(
        "--away",
        action="store_true",
        help="with log store and mail server away the whole time; start and hand-over must be those of "
        "--against",
    )
    parser.add_argument(
        "--against", type=Path, default=_OUT, help="the soak to compare with (default %(default)s)"
    )
    parser.add_argument("--out", type=Path, help=f"where it goes (default {_OUT}; {_OUT_AWAY} with --away)")
    chosen = parser.parse_args()
    chosen.out = chosen.out or (_OUT_AWAY if chosen.away else _OUT)
    return chosen


if __name__ == "__main__":
    main()
