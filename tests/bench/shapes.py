"""What a workflow of the bench looks like, whatever engine runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and the names of those that must have ended before it."""

    name: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """Steps whose Pods run for `seconds` each."""

    steps: tuple[Step, ...]
    seconds: float

    @property
    def is_chain(self) -> bool:
        """Whether each step waits for the one above, and for no other."""
        names = [step.name for step in self.steps]
        return [step.after for step in self.steps] == [(), *((name,) for name in names[:-1])]


def chain(length: int, seconds: float) -> Shape:
    """`step-0`, then `step-1`, and so on."""
    return Shape(
        tuple(Step(f"step-{n}", (f"step-{n - 1}",) if n else ()) for n in range(length)),
        seconds,
    )


def diamond(seconds: float) -> Shape:
    """Five steps: `a`, then `b`, `c` and `d` side by side, then `e`."""
    middle = tuple(Step(name, ("a",)) for name in ("b", "c", "d"))
    return Shape((Step("a"), *middle, Step("e", ("b", "c", "d"))), seconds)
