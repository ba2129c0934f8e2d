"""The comparison as a section of `docs/performance.md`. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.bench import markdown
from tests.bench.compare.contenders import OURS
from tests.bench.goals import GOALS, Figure
from tests.bench.prose import load_of
from tests.bench.record import Details
from tests.bench.svg import short

Found = Mapping[str, Mapping[str, Details]]
"""Details by label and row."""

_WHAT: Final = """\
The same rows through {who}, which took turns on this machine; each measurement had a control plane of its
own with the same settings. Argo is set up in its own favour: its executor, which writes a result for each
Pod, is simulated; its metrics are off and its leader election too; a run brings its whole workflow along; and
it leaves ended Pods where they are, while ours cleans up, which is in the cost of a step."""
_READING: Final = """\
Medians, with least and most where there are several measurements; × is how many times better Nightcrawler's
median is."""
_TOOK: Final = """\
What it took: Pods, warm-up included (all runs went well, and every step had one Pod); CPU time and memory of
the controller; CPU time of all processes, with those of the cluster and of the bench."""


def section(found: Found) -> tuple[str, dict[str, str]]:
    """The section, and no plots; empty without a measurement of ours."""
    labels = [label for label, rows in found.items() if any(row["runs"] for row in rows.values())]
    if OURS not in labels or len(labels) < 2:
        return "", {}
    stamps = {label: _stamp(found[label]) for label in labels}
    who = " and ".join(stamp["engine"]["title"] for stamp in stamps.values())
    rows = [name for name in GOALS if any(found[label].get(name, {}).get("runs") for label in labels)]
    parts = [
        "## Side by side with Argo Workflows",
        _WHAT.format(who=who),
        _caution(found, rows),
        _table(found, labels, rows),
        _READING,
        _load(found, labels, rows),
        _failures(found, labels),
        _conditions(stamps, found),
    ]
    return "\n\n".join(part for part in parts if part), {}


def times_better(ours: float, theirs: float, figure: Figure) -> float | None:
    """How many times better ours is; below 1 if it is worse, None if there is no telling."""
    better, worse = (theirs, ours) if figure.more else (ours, theirs)
    return worse / better if better > 0 and worse >= 0 else None


def _stamp(rows: Mapping[str, Details]) -> Mapping[str, Any]:
    stamp: Mapping[str, Any] = next(iter(rows.values()))["stamp"]
    return stamp


def _caution(found: Found, rows: Sequence[str]) -> str:
    small = {name: sizes for name in rows if (sizes := found[OURS][name]["sizes"])["name"] == "short"}
    if not small:
        return ""
    loads = [f"> - {GOALS[name].title}: {load_of(name, sizes)}" for name, sizes in small.items()]
    return "\n".join(["> **Only a first look**, with less load than the goals are for:", ">", *loads])


def _table(found: Found, labels: Sequence[str], rows: Sequence[str]) -> str:
    others = [label for label in labels if label != OURS]
    lines = []
    for name in rows:
        for figure in GOALS[name].figures:
            spreads = {
                label: found[label].get(name, {}).get("spread", {}).get(figure.key) for label in labels
            }
            ours = spreads[OURS]
            cells = [GOALS[name].title, figure.name, _value(ours, figure, strong=True)]
            for label in others:
                cells += [_value(spreads[label], figure), _factor(ours, spreads[label], figure)]
            lines.append(cells)
    heads = ["", "", "Nightcrawler"]
    for label in others:
        heads += [_stamp(found[label])["engine"]["title"], "×"]
    return markdown.table(heads, lines, numbers=range(2, len(heads)))


def _value(spread: Mapping[str, float] | None, figure: Figure, *, strong: bool = False) -> str:
    if spread is None:
        return ""
    median = f"{short(spread['median'])} {figure.unit}".strip()
    shown = f"**{median}**" if strong else median
    if spread["count"] == 1:
        return shown
    return f"{shown} ({short(spread['least'])} – {short(spread['most'])})"


def _factor(ours: Mapping[str, float] | None, theirs: Mapping[str, float] | None, figure: Figure) -> str:
    if ours is None or theirs is None:
        return ""
    factor = times_better(ours["median"], theirs["median"], figure)
    return "" if factor is None else short(factor)


def _load(found: Found, labels: Sequence[str], rows: Sequence[str]) -> str:
    """What ran, and what that took, by row: Pods, CPU time, memory."""
    lines = []
    for name in rows:
        for label in labels:
            runs = found[label].get(name, {}).get("runs", [])
            if not runs:
                continue
            engine = _stamp(found[label])["engine"]
            usages = [run["usage"] for run in runs]
            own = [usage[engine["process"]] for usage in usages]
            lines.append(
                [
                    GOALS[name].title,
                    engine["title"],
                    " or ".join(f"{pods:,}" for pods in sorted({run["pods"] for run in runs})),
                    short(statistics.median(process["cpu_seconds"] for process in own)),
                    short(statistics.median(_cpu_of_all(usage) for usage in usages)),
                    short(statistics.median(process["pss_mb"] for process in own)),
                ]
            )
    heads = ["", "", "Pods", "CPU, s", "CPU of all, s", "PSS, MB"]
    return "\n\n".join(
        [
            _TOOK,
            markdown.table(heads, lines, numbers=range(2, len(heads))),
            _uneven(found, labels, rows),
        ]
    ).strip()


def _cpu_of_all(usage: Mapping[str, Mapping[str, float]]) -> float:
    return sum(process["cpu_seconds"] for process in usage.values())


def _uneven(found: Found, labels: Sequence[str], rows: Sequence[str]) -> str:
    uneven = [
        GOALS[name].title
        for name in rows
        if len({run["pods"] for label in labels for run in found[label].get(name, {}).get("runs", [])}) > 1
    ]
    return f"**Not the same load**: {', '.join(uneven)}." if uneven else ""


def _failures(found: Found, labels: Sequence[str]) -> str:
    failed = {
        f"{_stamp(found[label])['engine']['title']}, {GOALS[name].title}": len(row["failures"])
        for label in labels
        for name, row in found[label].items()
        if row["failures"]
    }
    if not failed:
        return ""
    return "Measurements that failed and do not count: " + ", ".join(f"{n} of {w}" for w, n in failed.items())


def _conditions(stamps: Mapping[str, Mapping[str, Any]], found: Found) -> str:
    lines = []
    for stamp in stamps.values():
        engine = stamp["engine"]
        version = f" (`{engine['version']}`)" if engine["version"] else ""
        lines.append(f"- {engine['title']}{version}: {engine['what']}.")
    stamp = stamps[OURS]
    runs = [run for rows in found.values() for row in rows.values() for run in row["runs"]]
    busiest = max(run["load_average"] for run in runs)
    on = (
        f"On {stamp['cores']} cores of {stamp['cpu']}, {str(stamp['date'])[:10]}, "
        f"commit `{stamp['commit']}`; the load average before a measurement was at most {short(busiest)}."
    )
    return "\n".join(lines) + "\n\n" + on
