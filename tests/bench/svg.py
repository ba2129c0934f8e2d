"""Just enough SVG for the report's plots: text, lines, shapes, axes. Pure.

Drawn by hand and not by a plotting library: three kinds of plot are all that is needed, files of a few
kilobytes whose changes can be read in a diff, the same from the same figures, and colours that follow the
reader's light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

PALETTE = 8
"""How many colours there are: classes `c0` to `c7`."""
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.small { font-size: 11px; fill: #57606a } .title { font-size: 14px; font-weight: 600 }
.on { font-size: 11px; fill: #ffffff }
.card { fill: #ffffff; stroke: #d0d7de } .track { fill: #eff2f5 } .grid { stroke: #e4e8ec }
.axis { stroke: #8c959f } .goal { stroke: #24292f; stroke-width: 2 }
.moonshot { stroke: #24292f; stroke-width: 1.5; stroke-dasharray: 2 2 }
.argo { fill: #ffffff; stroke: #d1570b; stroke-width: 2 }
.spread { stroke: #24292f; stroke-opacity: .55; stroke-width: 1.5 } .line { fill: none; stroke-width: 2.2 }
.good { fill: #2f9e68 } .fair { fill: #4c8bd6 } .poor { fill: #d98e2b } .plain { fill: #8aa4c0 }
.halo { stroke: #ffffff; stroke-width: 1.5 }
.c0 { fill: #0072b2; stroke: #0072b2 } .c1 { fill: #e69f00; stroke: #e69f00 }
.c2 { fill: #009e73; stroke: #009e73 } .c3 { fill: #cc79a7; stroke: #cc79a7 }
.c4 { fill: #56b4e9; stroke: #56b4e9 } .c5 { fill: #d55e00; stroke: #d55e00 }
.c6 { fill: #8c7fd0; stroke: #8c7fd0 } .c7 { fill: #999999; stroke: #999999 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .on { fill: #ffffff } .small { fill: #9198a1 } .card { fill: #0d1117; stroke: #30363d }
.track { fill: #1c2128 } .grid { stroke: #262c34 } .axis { stroke: #6e7681 }
.goal, .moonshot { stroke: #e6edf3 } .spread { stroke: #e6edf3 } .argo { fill: #0d1117 }
.halo { stroke: #0d1117 } }
"""
_LETTER = 6.4


class Drawing:
    """Elements one above the other on a card of a certain width; its height is known at the end."""

    def __init__(self, width: float, title: str) -> None:
        self.width = width
        self._title = title
        self._parts: list[str] = []
        self.text(16, 26, title, "title")

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """A line of text whose base line is at `y`."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def box(self, x: float, y: float, width: float, height: float, kind: str, *, round_: float = 2) -> None:
        """A filled rectangle."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" '
            f'rx="{round_:g}" class="{kind}" stroke="none"/>'
        )

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        """A filled circle."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>')

    def diamond(self, x: float, y: float, radius: float, kind: str) -> None:
        """A square on its corner."""
        corners = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
        through = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
        self._parts.append(f'<polygon points="{through}" class="{kind}"/>')

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through points."""
        through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{through}" class="line {kind}" style="fill: none"/>')

    def finish(self, height: float) -> str:
        """The file."""
        size = f'width="{self.width:g}" height="{height:g}" viewBox="0 0 {self.width:g} {height:g}"'
        card = (
            f'<rect x="0.5" y="0.5" width="{self.width - 1:g}" height="{height - 1:g}" rx="8" class="card"/>'
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(self._title)}">'
        )
        return "\n".join([head, f"<style>{_STYLE}</style>", card, *self._parts, "</svg>", ""])


def width_of(text: str) -> float:
    """About how wide a text is drawn."""
    return len(text) * _LETTER


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places; `log` spaces them by their ratio."""

    least: float
    most: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high, here = self.least, self.most, value
        if self.log:
            low, high, here = math.log10(low), math.log10(high), math.log10(max(value, low))
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """A few round values on it."""
        return _log_ticks(self.least, self.most) if self.log else _ticks(self.least, self.most)


def axis(values: Sequence[float], start: float, end: float, *, log: bool = False) -> Axis:
    """An axis that has room for all values: from 0, or by powers of ten if `log` and none is 0."""
    most = max(values, default=1.0)
    least = min(values, default=1.0)
    if log and least > 0:
        # A little room on both sides, so that the first and the last value do not lie on the frame.
        return Axis(least / 1.15, most * 1.15, start, end, log=True)
    return Axis(0.0, _round_up(most), start, end)


def short(value: float) -> str:
    """A number as people write it: three figures, thousands with commas."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _round_up(value: float) -> float:
    step = _step(value)
    return math.ceil(value / step - 1e-9) * step if value > 0 else 1.0


def _step(span: float) -> float:
    raw = max(span, 1e-9) / 4
    power = 10 ** math.floor(math.log10(raw))
    return float(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw))


def _ticks(least: float, most: float) -> list[float]:
    step = _step(most - least)
    return [least + step * n for n in range(int((most - least) / step + 1e-9) + 1)]


def _log_ticks(least: float, most: float) -> list[float]:
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    many = math.log10(most / least) > 2.2
    factors = (1,) if many else (1, 2, 5)
    return [f * 10.0**p for p in powers for f in factors if least <= f * 10.0**p <= most]
