"""How much load a run of the bench makes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts; the defaults are those of the goals."""

    starts: int = 200
    chains_few: int = 5
    chains_many: int = 50
    repeats: int = 5
    cost_runs: int = 20


SHORT = Sizes(starts=50, chains_many=20, repeats=2, cost_runs=5)
"""A first look, in two minutes or so."""
