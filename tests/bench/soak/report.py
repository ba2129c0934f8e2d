"""The result of a soak, for the terminal and as a section of `docs/performance.md`. Pure but for `show`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.bench import plots
from tests.bench.plots import Panel
from tests.bench.site import BENCH, FACADE
from tests.bench.soak.samples import Sample, sample_from
from tests.bench.soak.verdict import OPERATOR
from tests.bench.svg import short

PLOT: Final = "soak.svg"
PLOT_AWAY: Final = "soak-away.svg"
_WORDS: Final = {True: "ok", False: "**failed**", None: "too short to say"}
_CLUSTER: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", BENCH)


def show(found: Mapping[str, Any]) -> None:
    """Print the result."""
    for check in found["checks"]:
        value = f"{check['value']:g} {check['unit']}".strip()
        word = _WORDS[check["passed"]].strip("*")
        print(f"  {word:17}{check['name']}: {value} (at most {check['limit']:g})")
    for example in found["examples"][:10]:
        print(f"  {example}")
    for name, lines in found["trouble"].items():
        for line in lines[:5]:
            print(f"  {name}: {line}")
    print(_load(found))


def section(found: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The section, and its plots by file name."""
    samples = [sample_from(sample) for sample in found["samples"]]
    plan = found["plan"]
    away = bool(plan.get("away"))
    plot = PLOT_AWAY if away else PLOT
    what = (
        f"A steady load of {short(plan['rate'])} runs a minute for {short(plan['minutes'])} minutes: single "
        "steps, chains, DAGs, runs whose steps fail and are retried, whose Pods are deleted, and that are "
        "cancelled; and a dashboard that asks the facade for something "
        f"{short(plan['looks'])} times a second. {_kills(found)} {_absence(found)}"
        "An independent watch checks every run: its result, how many Pods each step had, that none started "
        "before those it depends on, and that no attempt ran twice."
    )
    parts = [
        "## Soak without log store and mail server" if away else "## Soak",
        what,
        _load(found),
        _checks(found["checks"]),
        found.get("remark", ""),
        f"![Soak](performance/{plot})",
        _growth(samples),
        _stamp(found["stamp"]),
    ]
    return "\n\n".join(part for part in parts if part), {plot: _plot(samples)}


def _kills(found: Mapping[str, Any]) -> str:
    outages = found["outages_s"]
    if not outages:
        return "The operator was left alone."
    return (
        f"The operator was killed (SIGKILL) and started again {len(outages)} times; after "
        f"{short(min(outages))} to {short(max(outages))} s the next one worked, which waits for the Lease of "
        "the one before."
    )


def _absence(found: Mapping[str, Any]) -> str:
    if not found["plan"].get("away"):
        return ""
    return (
        "Log store and mail server took connections and never answered, from the first run to the last; what "
        f"was not done for a run within {short(found['duty_timeout'])} s of its end was given up, "
        f"{found['given_up']:,} times. "
    )


def _load(found: Mapping[str, Any]) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found["runs"].items()))
    return (
        f"{found['submitted']:,} runs ({kinds}) with {found['pods']:,} Pods; all had ended "
        f"{short(found['seconds_to_drain'])} s after the last was asked for."
    )


def _checks(checks: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| | found | at most | |", "| --- | --: | --: | --- |"]
    for check in checks:
        value = f"{short(check['value'])} {check['unit']}".strip()
        limit = f"{short(check['limit'])} {check['unit']}".strip()
        lines.append(f"| {check['name']} | {value} | {limit} | {_WORDS[check['passed']]} |")
    return (
        "What grows is a straight line through the settled part: by how much it rises from that part's "
        "beginning to its end.\n\n" + "\n".join(lines)
    )


def _growth(samples: Sequence[Sample]) -> str:
    """Memory of everything that is not ours, at the beginning and the end."""
    if len(samples) < 2:
        return ""
    first, last = samples[0], samples[-1]
    lines = ["| PSS, MB | at first | in the end |", "| --- | --: | --: |"]
    for name in (OPERATOR, FACADE, *_CLUSTER):
        if name in first.processes and name in last.processes:
            before, after = first.processes[name].pss_mb, last.processes[name].pss_mb
            lines.append(f"| {name} | {short(before)} | {short(after)} |")
    lines.append(f"| etcd's file | {short(first.etcd_mb)} | {short(last.etcd_mb)} |")
    return "\n".join(lines)


def _stamp(stamp: Mapping[str, Any]) -> str:
    return (
        f"On {stamp['cores']} cores of {stamp['cpu']}, {str(stamp['date'])[:10]}, commit `{stamp['commit']}`."
    )


def _plot(samples: Sequence[Sample]) -> str:
    def line(of: Callable[[Sample], float | None]) -> list[tuple[float, float]]:
        found = [(sample.at / 60, of(sample)) for sample in samples]
        return [(x, y) for x, y in found if y is not None]

    def process(name: str, of: Callable[[Any], float]) -> list[tuple[float, float]]:
        return line(lambda s: of(s.processes[name]) if name in s.processes else None)

    def wait(name: str) -> list[tuple[float, float]]:
        return line(lambda s: s.waits_ms.get(name))

    def count(plural: str) -> list[tuple[float, float]]:
        return line(lambda s: float(s.objects[plural]))

    panels = {
        "PSS, MB": {n: process(n, lambda p: p.pss_mb) for n in (OPERATOR, FACADE)},
        "file descriptors": {n: process(n, lambda p: p.fds) for n in (OPERATOR, FACADE)},
        "oldest run without a Pod, s": {"lag": line(lambda s: s.lag_s)},
        "hand-over, ms": {"p50": wait("handover_p50"), "p99": wait("handover_p99")},
        "objects": {n: count(n) for n in ("workflowexecutions", "jobs", "pods")},
        "cluster: PSS, MB": {n: process(n, lambda p: p.pss_mb) for n in ("kube-apiserver", "etcd", BENCH)},
    }
    shown = [
        Panel(
            title,
            {name: [(0.0, points[0][1]), *points] for name, points in lines.items() if points},
            "minutes",
            dots=False,
        )
        for title, lines in panels.items()
        if any(lines.values())
    ]
    return plots.lines("Soak", shown)
