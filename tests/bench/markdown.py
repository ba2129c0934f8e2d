"""Markdown that all parts of the report have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """A table whose columns of numbers are flush right."""
    right = set(numbers)
    rule = ["--:" if column in right else "---" for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, rule, *lines])
