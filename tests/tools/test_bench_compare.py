"""The comparison: who takes turns with whom, what is kept, and how it is shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.bench import report as whole_report
from tests.bench.compare import report
from tests.bench.compare.contenders import OURS, contenders, turns
from tests.bench.goals import GOALS, Figure
from tests.bench.measured import Measured, Usage
from tests.bench.record import Record, details_path
from tests.bench.rows import COMPARABLE, known, row_of_engine
from tests.bench.sizes import SHORT, Sizes

_STAMP = {
    "date": "2026-01-02T03:04:05Z",
    "commit": "abc1234",
    "cores": 2,
    "cpu": "a processor",
    "memory_gb": 8.0,
    "kernel": "Linux 6",
    "python": "3.11",
    "load_average": 0.1,
}
_TUNED = "argo-tuned"
_ENGINES = {
    OURS: {"title": "Nightcrawler", "what": "as usual", "version": "", "process": "nightcrawler-operator"},
    _TUNED: {
        "title": "Argo, tuned",
        "what": "tuned",
        "version": "v9.9.9",
        "process": "workflow-controller",
    },
}


def _measured(label: str, p50: float, pods: int = 110) -> Measured:
    usage = {_ENGINES[label]["process"]: Usage(1.5, 70.0), "kube-apiserver": Usage(8.5, 300.0)}
    return Measured({"p50_ms": p50, "p99_ms": 2 * p50}, usage, pods=pods)


def _recorded(
    out: Path, ours: list[Measured], theirs: list[Measured], sizes: Sizes | None = None
) -> dict[str, Any]:
    records = {label: Record(out, label) for label in _ENGINES}
    for label, record in records.items():
        record.begin(["handover"], sizes or Sizes(), {**_STAMP, "engine": _ENGINES[label]})
    # As they are taken: in turns.
    for index in range(max(len(ours), len(theirs))):
        for label, runs in ((OURS, ours), (_TUNED, theirs)):
            if index < len(runs):
                records[label].add("handover", runs[index], seconds=10, load_average=0.5)
    read: dict[str, Any] = json.loads(details_path(out).read_text())
    return read


def test_for_each_row_the_order_alternates() -> None:
    firsts: dict[str, list[str]] = {}
    taken = list(turns(COMPARABLE, ["a", "b"], 4))
    for row, label in taken[::2]:
        firsts.setdefault(row, []).append(label)
    for order in firsts.values():
        assert order in (["a", "b", "a", "b"], ["b", "a", "b", "a"])
    assert set(Counter(taken).values()) == {4}


def test_a_row_is_measured_for_all_before_the_next_row() -> None:
    assert list(turns(["start", "cost"], ["a", "b", "c"], 1)) == [
        ("start", "a"), ("start", "b"), ("start", "c"), ("cost", "c"), ("cost", "b"), ("cost", "a"),
    ]  # fmt: skip


def test_each_is_first_equally_often_even_in_one_turn() -> None:
    firsts = Counter(label for _, label in list(turns(COMPARABLE, ["a", "b"], 1))[::2])
    assert firsts == {"a": 2, "b": 2}


def test_every_compared_row_has_an_engine() -> None:
    assert set(COMPARABLE) <= set(known())
    for name in COMPARABLE:
        measure: Any = row_of_engine(name)
        assert "engine" in measure.__annotations__


def test_there_is_one_contender_for_each_profile_beside_ours(tmp_path: Path) -> None:
    controller = tmp_path / "workflow-controller"
    controller.write_text("#!/bin/sh\necho workflow-controller: v9.9.9\n")
    controller.chmod(0o755)
    found = contenders(controller, tmp_path, ["installed", "tuned"], ["--qps=9"])
    assert [one.label for one in found] == [OURS, "argo-installed", _TUNED]
    assert [one.version for one in found] == ["", "v9.9.9", "v9.9.9"]
    assert found[0].engine.name == _ENGINES[OURS]["process"]
    assert found[1].what.endswith("requeue after 10s, `--qps=9`")
    assert found[2].stamp["process"] == "workflow-controller"


def test_figures_are_kept_by_engine_row_and_key(tmp_path: Path) -> None:
    out = tmp_path / "build" / "bench-compare.json"
    details = _recorded(
        out,
        [_measured(OURS, p50) for p50 in (20, 40, 30)],
        [_measured(_TUNED, p50) for p50 in (800, 900, 1_000)],
    )
    assert json.loads(out.read_text()) == {
        OURS: {"handover": {"p50_ms": 30, "p99_ms": 60}},
        _TUNED: {"handover": {"p50_ms": 900, "p99_ms": 1_800}},
    }
    assert [run["figures"]["p50_ms"] for run in details[_TUNED]["handover"]["runs"]] == [800, 900, 1_000]


def test_the_section_shows_both_and_how_many_times_better_ours_is(tmp_path: Path) -> None:
    details = _recorded(
        tmp_path / "c.json",
        [_measured(OURS, p50) for p50 in (20, 40, 30)],
        [_measured(_TUNED, p50) for p50 in (800, 900, 1_000)],
    )
    text, plots = report.section(details)
    assert "|  |  | Nightcrawler | Argo, tuned | × |" in text
    assert "| Hand-over | 5 chains, p50 | **30 ms** (20 – 40) | 900 ms (800 – 1,000) | 30 |" in text
    assert "| Hand-over | Argo, tuned | 110 | 1.5 | 10 | 70 |" in text
    assert "- Argo, tuned (`v9.9.9`): tuned." in text
    assert "load average before a measurement was at most 0.5." in text
    assert "Not the same load" not in text
    assert "Only a first look" not in text
    assert plots == {}


def test_figures_that_were_measured_once_have_no_spread(tmp_path: Path) -> None:
    details = _recorded(tmp_path / "c.json", [_measured(OURS, 20)], [_measured(_TUNED, 800)], SHORT)
    text, _ = report.section(details)
    assert "| Hand-over | 5 chains, p50 | **20 ms** | 800 ms | 40 |" in text
    assert "Only a first look" in text


def test_different_numbers_of_pods_are_reported(tmp_path: Path) -> None:
    details = _recorded(tmp_path / "c.json", [_measured(OURS, 20)], [_measured(_TUNED, 800, pods=109)])
    assert "**Not the same load**: Hand-over." in report.section(details)[0]


def test_failed_measurements_are_reported(tmp_path: Path) -> None:
    details = _recorded(tmp_path / "c.json", [_measured(OURS, 20)], [_measured(_TUNED, 800)])
    details[_TUNED]["handover"]["failures"].append("TimeoutError: it hung")
    assert "do not count: 1 of Argo, tuned, Hand-over" in report.section(details)[0]


@pytest.mark.parametrize("measured", [OURS, _TUNED])
def test_there_is_no_section_without_a_comparison(tmp_path: Path, measured: str) -> None:
    runs = {label: [_measured(label, 20)] if label == measured else [] for label in _ENGINES}
    assert report.section(_recorded(tmp_path / "c.json", runs[OURS], runs[_TUNED])) == ("", {})


@pytest.mark.parametrize(
    ("more", "ours", "theirs", "factor"),
    [
        (False, 20, 800, 40),
        (False, 40, 20, 0.5),
        (True, 1_500, 750, 2),
        (True, 5, 0, None),
        (False, 0, 5, None),
    ],
)
def test_times_better_has_the_right_direction(
    *, more: bool, ours: float, theirs: float, factor: float | None
) -> None:
    figure = Figure(key="", name="", unit="", more=more)
    assert report.times_better(ours, theirs, figure) == factor


def test_the_section_is_part_of_the_page_once_there_was_a_comparison(tmp_path: Path) -> None:
    out, docs = tmp_path / "bench.json", tmp_path / "docs"
    record = Record(out)
    record.begin(["handover"], Sizes(), _STAMP)
    record.add("handover", _measured(OURS, 20), seconds=10, load_average=0.5)
    assert "## Side by side" not in whole_report.write(out, docs).read_text()
    _recorded(tmp_path / "bench-compare.json", [_measured(OURS, 20)], [_measured(_TUNED, 800)])
    assert "## Side by side with Argo Workflows" in whole_report.write(out, docs).read_text()


def test_compared_figures_have_goals_and_so_names() -> None:
    assert all(GOALS[name].figures for name in COMPARABLE)
