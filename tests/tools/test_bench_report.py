"""What is kept of measurements, and the report that is made of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.bench import machine, plots, report, svg
from tests.bench.goals import GOALS, Figure
from tests.bench.measured import Measured, Usage
from tests.bench.plots import Bar, Panel
from tests.bench.record import Record, details_path
from tests.bench.rows import ORDER
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


def _measured(p50: float) -> Measured:
    return Measured(
        {"p50_ms": p50, "p99_ms": 2 * p50, "at50_p50_ms": 5 * p50, "at50_p99_ms": 9 * p50},
        {"nightcrawler-operator": Usage(1.5, 70.0), "kube-apiserver": Usage(p50, 300.0)},
        {"% of hand-overs by ms: few": [(p50, 50.0), (2 * p50, 100.0)]},
        {"requests": {"create jobs": p50, "get <b>": 1.0}},
    )


def _recorded(out: Path, rows: dict[str, list[Measured]], sizes: Sizes | None = None) -> dict[str, Any]:
    record = Record(out)
    record.begin(list(rows), sizes or Sizes(), _STAMP)
    for row, runs in rows.items():
        for run in runs:
            record.add(row, run, seconds=10, load_average=0.5)
    read: dict[str, Any] = json.loads(details_path(out).read_text())
    return read


def test_figures_are_medians_and_details_have_every_run(tmp_path: Path) -> None:
    out = tmp_path / "build" / "bench.json"
    details = _recorded(out, {"handover": [_measured(p50) for p50 in (40, 20, 90)]})
    assert json.loads(out.read_text())["handover"]["p50_ms"] == 40
    assert [run["figures"]["p50_ms"] for run in details["handover"]["runs"]] == [40, 20, 90]
    found = details["handover"]["spread"]["p50_ms"]
    assert found == {"median": 40, "least": 20, "most": 90, "count": 3}
    assert details["handover"]["sizes"]["starts"] == Sizes().starts


def test_rows_that_are_not_measured_again_stay(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    _recorded(out, {"handover": [_measured(40)], "start": [_measured(1)]})
    record = Record(out)
    record.begin(["start"], Sizes(), _STAMP)
    record.fail("start", "TimeoutError: it hung")
    kept = json.loads(out.read_text())
    assert kept["handover"]["p50_ms"] == 40
    assert "start" not in kept
    assert json.loads(details_path(out).read_text())["start"]["failures"] == ["TimeoutError: it hung"]


def test_every_row_has_goals_in_its_order() -> None:
    assert tuple(GOALS) == ORDER


def test_the_report_says_how_fast_the_machine_is_if_that_was_measured(tmp_path: Path) -> None:
    old = _recorded(tmp_path / "bench.json", {"handover": [_measured(40)]})
    assert "Python 3.11; everything on this one machine." in report.render(old).page
    old["handover"]["stamp"]["additions_s"] = machine.stamp()["additions_s"]
    seconds = old["handover"]["stamp"]["additions_s"]
    assert seconds > 0
    shown = f"Python 3.11, which adds 5 million numbers in {seconds:g} s; everything on this one machine."
    assert shown in report.render(old).page


def test_a_figure_says_whether_it_is_good_enough() -> None:
    less = Figure(key="p50_ms", name="", unit="ms", goal=60)
    more = Figure(key="rate", name="", unit="/min", goal=1400, more=True)
    assert less.reaches(60, less.goal)
    assert not less.reaches(61, less.goal)
    assert more.reaches(1400, more.goal)
    assert not more.reaches(1399, more.goal)
    assert not less.reaches(1, None)


def test_the_report_shows_medians_spread_goals_and_what_was_missed(tmp_path: Path) -> None:
    made = report.render(
        _recorded(tmp_path / "bench.json", {"handover": [_measured(p50) for p50 in (40, 20, 90)]})
    )
    assert "| 5 chains, p50 | **40 ms** | 20 – 90 | 60 ms | 25 ms | 815 ms |" in made.page
    summary = made.page.splitlines()
    assert (
        "| [Hand-over](#hand-over) | 50 chains, p50 | **200 ms** | 600 ms | 200 ms | 1,261 ms | moonshot |"
        in (summary)
    )
    assert "2 cores of a processor" in made.page
    assert "`abc1234`" in made.page
    assert "| `create jobs` | 40 |" in made.page
    assert "## Memory" not in made.page, "it was not measured"
    assert set(made.plots) == {"handover.svg", "handover-curves.svg", "cpu.svg"}
    for name in made.plots:
        assert f"(performance/{name})" in made.page


def test_a_missed_goal_and_a_failed_measurement_are_reported(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    details = _recorded(out, {"handover": [_measured(100)]})
    details["handover"]["failures"].append("TimeoutError: it hung")
    page = report.render(details).page
    assert "| 60 ms | 25 ms | 815 ms | **missed** |" in page
    assert "1 of 2 measurements of this row failed" in page


def test_sizes_below_those_of_the_goals_are_reported(tmp_path: Path) -> None:
    usual = report.render(_recorded(tmp_path / "a.json", {"handover": [_measured(40)]})).page
    short = report.render(_recorded(tmp_path / "b.json", {"handover": [_measured(40)]}, SHORT)).page
    assert "a first look" not in usual.split("## How")[0]
    assert "a first look" in short.split("## How")[0]


def test_unusual_settings_are_reported(tmp_path: Path) -> None:
    details = _recorded(tmp_path / "a.json", {"handover": [_measured(40)]})
    assert "With other settings" not in report.render(details).page
    details["handover"]["stamp"]["settings"] = {"workers": "64"}
    assert "> **With other settings than the usual ones**: Hand-over." in report.render(details).page


def test_figures_that_grow_with_sizes_get_a_column_each(tmp_path: Path) -> None:
    sizes = {f"handover_p50_ms_at_{n}": float(n) for n in (100, 1_000, 10_000)}
    page = report.render(_recorded(tmp_path / "bench.json", {"scale": [Measured(sizes)]})).page
    assert "|  | 100 | 1,000 | 10,000 |" in page
    assert "| `handover_p50_ms` | 100 | 1,000 | 10,000 |" in page


def test_writing_the_report_removes_plots_of_an_earlier_one(tmp_path: Path) -> None:
    out, docs = tmp_path / "bench.json", tmp_path / "docs"
    _recorded(out, {"handover": [_measured(40)]})
    (docs / "performance").mkdir(parents=True)
    (docs / "performance" / "old.svg").write_text("")
    page = report.write(out, docs)
    assert page.read_text().startswith("<!-- Made by")
    assert {file.name for file in (docs / "performance").iterdir()} == {
        "handover.svg", "handover-curves.svg", "cpu.svg",
    }  # fmt: skip


def _texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


def test_bars_show_their_figures_and_marks() -> None:
    drawn = plots.bars("Start & burst", [Bar("p50", "ms", 50, 40, 55, goal=60), Bar("p99", "ms", 99, 99, 99)])
    texts = _texts(drawn)
    assert texts[0] == "Start & burst"
    assert "50 ms" in texts
    assert "goal" in texts
    assert "moonshot" not in texts
    assert 'class="fair"' in drawn
    assert 'class="plain"' in drawn


@pytest.mark.parametrize(
    ("value", "colour"), [(20, "good"), (25, "good"), (60, "fair"), (61, "poor")], ids=str
)
def test_the_colour_of_a_bar_says_whether_it_reaches_its_goal(value: float, colour: str) -> None:
    assert Bar("", "ms", value, value, value, goal=60, moonshot=25).verdict == colour
    less_is_worse = Bar("", "/min", -value, -value, -value, goal=-60, moonshot=-25, more=True)
    assert less_is_worse.verdict == colour


def test_lines_are_drawn_with_names_only_where_there_are_several() -> None:
    panels = [Panel("one", {"only": [(1, 2), (10, 3)]}), Panel("two", {"a": [(0, 1)], "b": [(5, 2)]})]
    texts = _texts(plots.lines("Lines", panels))
    assert "only" not in texts
    assert {"one", "two", "a", "b"} <= set(texts)


def test_stacks_show_shares_and_totals() -> None:
    texts = _texts(plots.stacks("CPU", {"start": {"etcd": 1.0, "api": 3.0}, "none": {}}, "s"))
    assert {"25 %", "75 %", "4 s"} <= set(texts)


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis() -> None:
    found = svg.axis([1, 10, 100], 0, 100, log=True)
    assert found.log
    assert found.at(10) - found.at(1) == pytest.approx(found.at(100) - found.at(10))
    assert {1, 10, 100} <= set(found.ticks())


def test_an_axis_with_a_zero_is_not_logarithmic() -> None:
    found = svg.axis([0, 500, 5_000], 0, 100, log=True)
    assert not found.log
    assert found.at(0) == 0
    assert found.ticks()[-1] >= 5_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (26.84, "26.8"),
        (2.24, "2.24"),
        (1_257.3, "1,257"),
        (0.0312, "0.0312"),
        (100, "100"),
        (12_000, "12,000"),
    ],
)
def test_numbers_are_written_short(value: float, text: str) -> None:
    assert svg.short(value) == text
