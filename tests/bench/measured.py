"""What a row gives: its figures, and what stood behind them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took while a row was measured."""

    cpu_seconds: float
    pss_mb: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one row.

    `figures` go into `build/bench.json`. The rest goes into the details: `usage` holds every process by
    its name (`nightcrawler-operator`, `kube-apiserver`, …). `curves` are lines for the plots: pairs of x and
    y by a title `<y> by <x>: <line>`, such as `PSS, MB by running runs: operator`; lines with the same
    `<y> by <x>` share a field. `tables` are numbers by title and name, such as requests by verb and resource.
    `pods` is how many Pods ran, warm-up included, and each succeeded; 0 if they were not counted.
    """

    figures: dict[str, float]
    usage: dict[str, Usage] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    tables: dict[str, dict[str, float]] = field(default_factory=dict)
    pods: int = 0
