"""The report on what was measured: `docs/performance.md` and its plots. Pure but for `write`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench import markdown, plots
from tests.bench.compare import report as compare
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.goals import GOALS, Figure, RowGoals
from tests.bench.machine import ADDITIONS
from tests.bench.plots import Bar, Panel
from tests.bench.prose import FOOT, HEAD, TRIED, load_of
from tests.bench.record import Details, details_path
from tests.bench.site import BENCH, FACADE
from tests.bench.soak import report as soak
from tests.bench.svg import short

Curve = list[tuple[float, float]]

_FOLDER: Final = "performance"
_OURS: Final = (NIGHTCRAWLER.name, FACADE)
"""These come first where components are listed."""
_FEW: Final = 16
"""A line of more points than that is drawn without dots."""

Section = tuple[str, Mapping[str, str]]
"""Text with its heading, and its plots by file name."""

_BESIDE: Final[Mapping[str, Callable[[Mapping[str, Any]], Section]]] = {
    "bench-compare-details.json": compare.section,
    "soak.json": soak.section,
    "soak-away.json": soak.section,
}
"""What else was measured: the file of it, beside that of the figures, and what makes a section of that."""


@dataclass(frozen=True, slots=True)
class Report:
    """A page, and its plots by file name."""

    page: str
    plots: Mapping[str, str]


def write(out: Path, docs: Path) -> Path:
    """Make the report of the figures in `out`, and its details, below `docs`; where it is.

    Raises:
        FileNotFoundError: Nothing was measured yet.
    """
    beside = [
        section(json.loads(found.read_text()))
        for file, section in _BESIDE.items()
        if (found := out.with_name(file)).exists()
    ]
    report = render(json.loads(details_path(out).read_text()), beside)
    folder = docs / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.name not in report.plots:
            old.unlink()
    for name, plot in report.plots.items():
        (folder / name).write_text(plot)
    page = docs / f"{_FOLDER}.md"
    page.write_text(report.page)
    return page


def render(details: Mapping[str, Details], beside: Sequence[Section] = ()) -> Report:
    """The report of rows that were measured at least once, and of what was measured beside them."""
    rows = {name: details[name] for name in GOALS if details.get(name, {}).get("runs")}
    files: dict[str, str] = {}
    parts = [HEAD, _caution(rows), _summary(rows)]
    for name, row in rows.items():
        parts.append(_row(name, GOALS[name], row, files))
    if usages := {name: usage for name, row in rows.items() if (usage := _cpu(row))}:
        by_title = {GOALS[name].title: usage for name, usage in usages.items()}
        files["cpu.svg"] = plots.stacks("CPU time by component", by_title, "s")
        parts.append(
            f"## Who uses the CPU\n\n{_image('cpu.svg', 'CPU time by component')}\n\n{_memory(rows)}"
        )
    for text, made in beside:
        parts.append(text)
        files |= made
    parts += [TRIED, _conditions(rows), FOOT]
    return Report("\n\n".join(part.strip() for part in parts if part.strip()) + "\n", files)


def _caution(rows: Mapping[str, Details]) -> str:
    small = [GOALS[name].title for name, row in rows.items() if row["sizes"]["name"] == "short"]
    other = [GOALS[name].title for name, row in rows.items() if row["stamp"].get("settings")]
    said = []
    if small:
        said.append(f"> **Only a first look**, with less load than the goals are for: {', '.join(small)}.")
    if other:
        said.append(f"> **With other settings than the usual ones**: {', '.join(other)}.")
    return "\n>\n".join(said)


# --- the table of all --------------------------------------------------------------------------------


def _summary(rows: Mapping[str, Details]) -> str:
    lines = []
    for name, row in rows.items():
        for figure in GOALS[name].figures:
            if figure.key not in row["spread"] or (figure.goal is None and figure.moonshot is None):
                continue
            value = row["spread"][figure.key]["median"]
            lines.append(
                [
                    f"[{GOALS[name].title}](#{_anchor(GOALS[name].title)})",
                    figure.name,
                    f"**{_value(value, figure)}**",
                    _value(figure.goal, figure),
                    _value(figure.moonshot, figure),
                    _value(figure.argo, figure),
                    _verdict(value, figure),
                ]
            )
    return markdown.table(
        ["", "", "Nightcrawler", "goal", "moonshot", "Argo, tuned", ""], lines, numbers=(2, 3, 4, 5)
    )


def _verdict(value: float, figure: Figure) -> str:
    if figure.reaches(value, figure.moonshot):
        return "moonshot"
    if figure.goal is None:
        return ""
    return "goal" if figure.reaches(value, figure.goal) else "**missed**"


# --- a row -------------------------------------------------------------------------------------------


def _row(name: str, goals: RowGoals, row: Details, files: dict[str, str]) -> str:
    spreads: dict[str, dict[str, float]] = row["spread"]
    known = [figure for figure in goals.figures if figure.key in spreads]
    parts = [f"## {goals.title}", goals.what, load_of(name, row["sizes"])]
    if known:
        files[f"{name}.svg"] = plots.bars(
            goals.title, [_bar(figure, spreads[figure.key]) for figure in known]
        )
        parts += [_figures(known, spreads), _image(f"{name}.svg", f"{goals.title}: figures against goals")]
    keys = {figure.key for figure in goals.figures}
    if others := {key: found for key, found in spreads.items() if key not in keys}:
        parts.append(_grown(others))
    if panels := _panels(_pooled(run["curves"] for run in row["runs"])):
        title = f"{goals.title}: more of it"
        files[f"{name}-curves.svg"] = plots.lines(title, panels)
        parts.append(_image(f"{name}-curves.svg", title))
    parts += [_details(title, table) for title, table in _tables(row).items()]
    if row["failures"]:
        count = len(row["failures"])
        parts.append(
            f"{count} of {count + len(row['runs'])} measurements of this row failed and do not count."
        )
    return "\n\n".join(part for part in parts if part)


def _figures(figures: Sequence[Figure], spreads: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        [
            figure.name,
            f"**{_value(spreads[figure.key]['median'], figure)}**",
            f"{short(spreads[figure.key]['least'])} – {short(spreads[figure.key]['most'])}",
            _value(figure.goal, figure),
            _value(figure.moonshot, figure),
            _value(figure.argo, figure),
        ]
        for figure in figures
    ]
    heads = ["", "median", "least – most", "goal", "moonshot", "Argo, tuned"]
    return markdown.table(heads, lines, numbers=(1, 2, 3, 4, 5))


def _bar(figure: Figure, spread: Mapping[str, float]) -> Bar:
    return Bar(
        figure.name,
        figure.unit,
        spread["median"],
        spread["least"],
        spread["most"],
        figure.goal,
        figure.moonshot,
        figure.argo,
        figure.more,
    )


def _grown(spreads: Mapping[str, Mapping[str, float]]) -> str:
    """Figures `<what>_at_<size>` as a table with a column a size; the others with one column."""
    sizes: list[int] = []
    by_name: dict[str, dict[int, float]] = {}
    for key, spread in spreads.items():
        what, _, at = key.rpartition("_at_")
        size = int(at) if what and at.isdigit() else 0
        by_name.setdefault(what if size else key, {})[size] = spread["median"]
        sizes = sorted({*sizes, size})
    heads = ["", *(f"{size:,}" if size else "median" for size in sizes)]
    lines = [
        [f"`{name}`", *(short(at[size]) if size in at else "" for size in sizes)]
        for name, at in by_name.items()
    ]
    return markdown.table(heads, lines, numbers=range(1, len(heads)))


def _panels(curves: Mapping[str, Curve]) -> list[Panel]:
    """Lines in their fields: those whose titles `<y> by <x>: <line>` agree up to the colon share one."""
    fields: dict[str, dict[str, Curve]] = {}
    for title, curve in curves.items():
        field, _, line = title.partition(": ")
        if curve:
            fields.setdefault(field, {})[line or field] = curve
    return [
        Panel(y, lines, x, dots=all(len(line) <= _FEW for line in lines.values()))
        for field, lines in fields.items()
        for y, _, x in [field.partition(" by ")]
    ]


# --- several runs as one -----------------------------------------------------------------------------


def _pooled(runs: Iterable[Mapping[str, Curve]]) -> dict[str, Curve]:
    """Of each curve the median line: point by point, for the runs of a row have the same points."""
    by_title: dict[str, list[Curve]] = {}
    for run in runs:
        for title, curve in run.items():
            by_title.setdefault(title, []).append(curve)
    return {
        title: [
            (statistics.median(x for x, _ in at), statistics.median(y for _, y in at))
            for at in zip(*curves, strict=False)
        ]
        for title, curves in by_title.items()
    }


def _tables(row: Details) -> dict[str, dict[str, float]]:
    """Medians of the tables of numbers, the largest number first; what a run does not have is 0 there."""
    runs: list[dict[str, dict[str, float]]] = [run["tables"] for run in row["runs"]]
    titles = dict.fromkeys(title for run in runs for title in run)
    pooled = {}
    for title in titles:
        names = dict.fromkeys(name for run in runs for name in run.get(title, {}))
        medians = {n: statistics.median(run.get(title, {}).get(n, 0.0) for run in runs) for n in names}
        pooled[title] = dict(sorted(medians.items(), key=lambda item: -item[1]))
    return pooled


def _cpu(row: Details) -> dict[str, float]:
    return _of_usage(row, "cpu_seconds")


def _of_usage(row: Details, what: str) -> dict[str, float]:
    found = dict.fromkeys(name for run in row["runs"] for name in run["usage"])
    names = sorted(found, key=lambda name: (name not in _OURS, name == BENCH))
    return {
        name: statistics.median(run["usage"][name][what] for run in row["runs"] if name in run["usage"])
        for name in names
    }


# --- pieces ------------------------------------------------------------------------------------------


def _memory(rows: Mapping[str, Details]) -> str:
    by_row = {name: _of_usage(row, "pss_mb") for name, row in rows.items()}
    components = list(dict.fromkeys(name for usage in by_row.values() for name in usage))
    measured = [name for name in rows if by_row[name]]
    lines = [
        [name, *(short(by_row[row][name]) if name in by_row[row] else "" for row in measured)]
        for name in components
    ]
    heads = ["PSS at the end, MB", *(GOALS[row].title for row in measured)]
    return markdown.table(heads, lines, numbers=range(1, len(heads)))


def _conditions(rows: Mapping[str, Details]) -> str:
    lines = []
    for name, row in rows.items():
        stamp, runs = row["stamp"], row["runs"]
        lines.append(
            [
                GOALS[name].title,
                str(len(runs)),
                f"{statistics.median(run['seconds'] for run in runs):.0f} s",
                short(max(run["load_average"] for run in runs)),
                str(stamp["date"])[:10],
                f"`{stamp['commit']}`",
            ]
        )
    machines = dict.fromkeys(_machine(row["stamp"]) for row in rows.values())
    heads = ["row", "times", "each", "load average at start, most", "date", "commit"]
    return "\n\n".join(["## On what", *machines, markdown.table(heads, lines, numbers=(1, 2, 3))])


def _machine(stamp: Mapping[str, Any]) -> str:
    speed = stamp.get("additions_s")
    adds = f", which adds {ADDITIONS / 1e6:g} million numbers in {speed:g} s" if speed else ""
    return (
        f"{stamp['cores']} cores of {stamp['cpu']}, {stamp['memory_gb']:g} GB, {stamp['kernel']}, "
        f"Python {stamp['python']}{adds}; everything on this one machine."
    )


def _details(title: str, table: Mapping[str, float]) -> str:
    lines = [[f"`{name}`", short(value)] for name, value in table.items()]
    written = markdown.table(["", ""], lines, numbers=(1,))
    return f"<details><summary>{title}</summary>\n\n{written}\n\n</details>"


def _value(value: float | None, figure: Figure) -> str:
    return "" if value is None else f"{short(value)} {figure.unit}".strip()


def _image(file: str, text: str) -> str:
    return f"![{text}]({_FOLDER}/{file})"


def _anchor(heading: str) -> str:
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c == "-")
