"""What is kept of measurements: medians in one file, all of every run in another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.figures import spread
from tests.bench.measured import Measured
from tests.bench.sizes import Sizes

Details = dict[str, Any]


def details_path(out: Path) -> Path:
    """Where the details are: `build/bench-details.json` beside `build/bench.json`."""
    return out.with_name(f"{out.stem}-details{out.suffix}")


class Record:
    """The two files. Rows that are not measured again stay as they are, with the stamp they got then.

    With a `part`, such as the name of an engine, each file has these parts by name, and this is one of them.

    Details by row: `sizes`, `stamp`, `runs` (each with `figures`, `usage`, `curves`, `tables`, `seconds` and
    the `load_average` at its start), `failures` (sentences), and `spread` by figure.
    """

    def __init__(self, out: Path, part: str = "") -> None:
        self._out, self._part = out, part
        self._figures: dict[str, dict[str, float]] = _read(out, part)
        self._details: dict[str, Details] = _read(details_path(out), part)

    def begin(self, rows: Sequence[str], sizes: Sizes, stamp: Mapping[str, Any]) -> None:
        """These rows are to be measured again."""
        for row in rows:
            self._figures.pop(row, None)
            self._details[row] = {
                "stamp": dict(stamp),
                "sizes": asdict(sizes),
                "runs": [],
                "failures": [],
                "spread": {},
            }

    def add(self, row: str, measured: Measured, *, seconds: float, load_average: float) -> None:
        """One measurement of a row; written down at once."""
        details = self._details[row]
        run = asdict(measured) | {"seconds": round(seconds, 1), "load_average": round(load_average, 2)}
        details["runs"].append(run)
        figures = [run["figures"] for run in details["runs"]]
        spreads = {key: spread([f[key] for f in figures if key in f]) for key in figures[-1]}
        details["spread"] = {key: asdict(found) for key, found in spreads.items()}
        self._figures[row] = {key: round(found.median, 3) for key, found in spreads.items()}
        self._save()

    def fail(self, row: str, why: str) -> None:
        """A row could not be measured this time."""
        self._details[row]["failures"].append(why)
        self._save()

    def figures(self, row: str) -> dict[str, float]:
        """The medians of a row so far."""
        return self._figures.get(row, {})

    def _save(self) -> None:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._write(self._out, self._figures, indent=2)
        self._write(details_path(self._out), self._details, indent=1)

    def _write(self, path: Path, mine: Mapping[str, Any], indent: int) -> None:
        # Another part may have been written since this one was read.
        whole = {**_read(path), self._part: mine} if self._part else mine
        path.write_text(json.dumps(whole, indent=indent) + "\n")


def _read(path: Path, part: str = "") -> dict[str, Any]:
    if not path.exists():
        return {}
    read: dict[str, Any] = json.loads(path.read_text())
    mine: dict[str, Any] = read.get(part, {}) if part else read
    return mine
