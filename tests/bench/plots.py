"""The report's three kinds of plot, as SVG: bars against goals, lines, stacks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.svg import PALETTE, Axis, Drawing, axis, short, width_of

_WIDTH = 760.0
_MARGIN = 16.0
_LABEL = 190.0
_VALUE = 130.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure as a bar, with its spread and what it is compared with; all in the same unit."""

    name: str
    unit: str
    value: float
    least: float
    most: float
    goal: float | None = None
    moonshot: float | None = None
    argo: float | None = None
    more: bool = False

    @property
    def verdict(self) -> str:
        """The colour's name: `good` at the moonshot, `fair` at the goal, `poor` below, else `plain`."""

        def reached(wanted: float | None) -> bool:
            return wanted is not None and (self.value >= wanted if self.more else self.value <= wanted)

        if self.goal is None and self.moonshot is None:
            return "plain"
        if reached(self.moonshot):
            return "good"
        return "fair" if reached(self.goal) else "poor"


def bars(title: str, shown: Sequence[Bar]) -> str:
    """A bar a figure, each on a scale of its own, for their units differ; marks for what to compare with."""
    drawing = Drawing(_WIDTH, title)
    start, end = _MARGIN + _LABEL, _WIDTH - _MARGIN - _VALUE
    y = 48.0
    for bar in shown:
        marks = [m for m in (bar.goal, bar.moonshot, bar.argo) if m is not None]
        scale = Axis(0.0, max([bar.most, *marks]) * 1.04 or 1.0, start, end)
        middle = y + 11
        drawing.text(start - 10, middle + 4, bar.name, anchor="end")
        drawing.box(start, y, end - start, 22, "track", round_=4)
        drawing.box(start, y + 4, scale.at(bar.value) - start, 14, bar.verdict, round_=3)
        drawing.line(scale.at(bar.least), middle, scale.at(bar.most), middle, "spread")
        for mark, kind in ((bar.goal, "goal"), (bar.moonshot, "moonshot")):
            if mark is not None:
                drawing.line(scale.at(mark), y + 1, scale.at(mark), y + 21, kind)
        if bar.argo is not None:
            drawing.diamond(scale.at(bar.argo), middle, 5.5, "argo")
        drawing.text(end + 10, middle + 4, f"{short(bar.value)} {bar.unit}".strip())
        y += 32
    return drawing.finish(_key(drawing, y + 12, shown) + 14)


def _key(drawing: Drawing, y: float, shown: Sequence[Bar]) -> float:
    x = _MARGIN + _LABEL
    if any(bar.goal is not None for bar in shown):
        drawing.line(x, y - 9, x, y + 3, "goal")
        drawing.text(x + 8, y, "goal", "small")
        x += 54
    if any(bar.moonshot is not None for bar in shown):
        drawing.line(x, y - 9, x, y + 3, "moonshot")
        drawing.text(x + 8, y, "moonshot", "small")
        x += 84
    if any(bar.argo is not None for bar in shown):
        drawing.diamond(x + 2, y - 3, 5, "argo")
        drawing.text(x + 14, y, "Argo Workflows, tuned", "small")
        x += 152
    if any(bar.most > bar.least for bar in shown):
        drawing.line(x, y - 4, x + 18, y - 4, "spread")
        drawing.text(x + 24, y, "least to most", "small")
    return y


@dataclass(frozen=True, slots=True)
class Panel:
    """One field of lines by name; `x` says what is across."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    x: str = ""
    dots: bool = True


def lines(title: str, panels: Sequence[Panel]) -> str:
    """Fields of lines, two side by side; across by ratio (log) where no x is 0, up from 0."""
    drawing = Drawing(_WIDTH, title)
    columns = min(2, len(panels))
    width = (_WIDTH - 2 * _MARGIN) / columns
    height = 232.0
    for number, panel in enumerate(panels):
        left = _MARGIN + width * (number % columns)
        top = 40 + height * (number // columns)
        _panel(drawing, panel, (left, top, left + width - (12 if columns > 1 else 0), top + height - 14))
    rows = -(-len(panels) // columns)
    return drawing.finish(44 + height * rows)


def _panel(drawing: Drawing, panel: Panel, place: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = place
    points = [point for line in panel.lines.values() for point in line]
    across = axis([x for x, _ in points], left + 48, right - 14, log=True)
    legend = _places(list(panel.lines), right - left - 62) if len(panel.lines) > 1 else []
    down = axis([y for _, y in points], bottom - 34, top + 18 + 16 * (legend[-1][1] + 1 if legend else 0))
    drawing.text(left + 8, top + 8, panel.title)
    for value in down.ticks():
        drawing.line(left + 48, down.at(value), right - 14, down.at(value), "grid")
        drawing.text(left + 42, down.at(value) + 4, short(value), "small", "end")
    for value in across.ticks():
        drawing.line(across.at(value), down.start, across.at(value), down.start + 4, "axis")
        drawing.text(across.at(value), down.start + 17, short(value), "small", "middle")
    drawing.line(left + 48, down.start, right - 14, down.start, "axis")
    drawing.text((left + 48 + right - 14) / 2, down.start + 32, panel.x, "small", "middle")
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = f"c{number % PALETTE}"
        places = [(across.at(x), down.at(y)) for x, y in line]
        drawing.path(places, colour)
        if panel.dots:
            for x, y in places:
                drawing.dot(x, y, 3.5, f"{colour} halo")
        if legend:
            x, row = left + 48 + legend[number][0], legend[number][1]
            drawing.box(x, top + 18 + 16 * row, 12, 4, colour)
            drawing.text(x + 18, top + 24 + 16 * row, name, "small")


def stacks(title: str, shown: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """A bar of parts for each name, as shares of its total, which stands beside it."""
    drawing = Drawing(_WIDTH, title)
    parts = list(dict.fromkeys(part for row in shown.values() for part in row))
    y = _legend(drawing, parts, 48.0) + 18
    start, end = _MARGIN + 150, _WIDTH - _MARGIN - _VALUE
    for name, row in shown.items():
        total = sum(row.values()) or 1.0
        drawing.text(start - 10, y + 15, name, anchor="end")
        x = start
        for number, part in enumerate(parts):
            width = (end - start) * row.get(part, 0.0) / total
            drawing.box(x, y, width, 22, f"c{number % PALETTE}", round_=0)
            share = f"{100 * row.get(part, 0.0) / total:.0f} %"
            if width > width_of(share) + 6:
                drawing.text(x + width / 2, y + 15, share, "on", "middle")
            x += width
        drawing.text(end + 10, y + 15, f"{short(total)} {unit}".strip())
        y += 32
    return drawing.finish(y + 6)


def _legend(drawing: Drawing, parts: Sequence[str], y: float) -> float:
    places = _places(parts, _WIDTH - 2 * _MARGIN)
    for number, (part, (x, row)) in enumerate(zip(parts, places, strict=True)):
        drawing.box(_MARGIN + x, y - 9 + 18 * row, 11, 11, f"c{number % PALETTE}")
        drawing.text(_MARGIN + x + 17, y + 18 * row, part, "small")
    return y + 18 * (places[-1][1] if places else 0)


def _places(parts: Sequence[str], width: float) -> list[tuple[float, int]]:
    """Where the parts of a legend go: from the left, and in which row."""
    places, x, row = [], 0.0, 0
    for part in parts:
        needed = 34 + width_of(part)
        if x and x + needed > width:
            x, row = 0.0, row + 1
        places.append((x, row))
        x += needed
    return places
