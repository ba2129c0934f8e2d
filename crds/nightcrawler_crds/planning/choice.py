"""Which of the candidates a strategy chooses, and the sentence that says why.

Each strategy looks at one number first and at the others where it is equal, so that none chooses an
Environment that is nowhere better than another one and somewhere worse. Then the order as written decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nightcrawler_crds.v1alpha1.workflow import EnvironmentStrategy
from nightcrawler_crds.words import format_duration_words


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A candidate with its numbers: seconds of wait and duration, and the cost."""

    name: str
    wait: float = 0.0
    duration: float = 0.0
    cost: float = 0.0
    currency: str | None = None
    passed_over: str | None = None
    appraised: bool = True

    @property
    def end(self) -> float:
        """Seconds until the run would end there."""
        return self.wait + self.duration


_Key = Callable[[Appraisal], tuple[float, ...]]

KEYS: Final[Mapping[EnvironmentStrategy, _Key]] = {
    "start": lambda one: (one.wait, one.duration, one.cost),
    "time": lambda one: (one.end, one.wait, one.cost),
    "cost": lambda one: (one.cost, one.wait, one.duration),
}


_THEN: Final[Mapping[EnvironmentStrategy, tuple[str, str]]] = {
    "start": ("is quickest", "costs least"),
    "time": ("starts first", "costs least"),
    "cost": ("starts first", "is quickest"),
}
"""What decides between equals, in the order of the keys."""


def choose(strategy: EnvironmentStrategy, there: Sequence[Appraisal]) -> Appraisal | None:
    """The best of those that are not passed over, by a strategy; None if all are."""
    left = [one for one in there if one.passed_over is None]
    # min() takes the first of equals.
    return min(left, key=KEYS[strategy]) if left else None


def comparable(strategy: EnvironmentStrategy, there: Sequence[Appraisal]) -> list[Appraisal]:
    """Candidates whose cost can be compared: those in another currency than the first are passed over."""
    first = next((one.currency for one in there if one.currency and one.passed_over is None), None)
    if strategy != "cost" or first is None:
        return list(there)
    return [
        replace(one, passed_over=f"its prices are in {one.currency}, and those of others in {first}")
        if one.passed_over is None and one.currency not in (None, first)
        else one
        for one in there
    ]


def why(strategy: EnvironmentStrategy, chosen: Appraisal, there: Sequence[Appraisal]) -> str:
    """The sentence that says why, with what the others offer."""
    best = {
        "start": f"it starts there first, {_wait(chosen)}",
        "time": f"it ends there first, in about {_long(chosen.end)}",
        "cost": f"it costs least there, about {_money(chosen)}",
    }[strategy]
    if decided := _decided(strategy, chosen, there):
        best = f"{best}, and among equals it {decided}"
    others = [f"{one.name}: {_offer(strategy, one)}" for one in there if one is not chosen]
    return f"runs in {chosen.name}: {best}" + (f" ({'; '.join(others)})" if others else "")


def _decided(strategy: EnvironmentStrategy, chosen: Appraisal, there: Sequence[Appraisal]) -> str:
    """What decided between equals; empty if there was none."""
    own = KEYS[strategy](chosen)
    keys = [KEYS[strategy](one) for one in there if one is not chosen and one.passed_over is None]
    for position, words in enumerate(_THEN[strategy], 1):
        keys = [key for key in keys if key[position - 1] == own[position - 1]]
        if any(key[position] > own[position] for key in keys):
            return words
    return ""


def objection(strategy: EnvironmentStrategy, chosen: Appraisal, one: Appraisal) -> str | None:
    """Why a candidate was not chosen; None for the chosen one."""
    if one is chosen:
        return None
    return one.passed_over or f"{chosen.name} is better for {strategy}: {_offer(strategy, chosen)}"


def _offer(strategy: EnvironmentStrategy, one: Appraisal) -> str:
    if one.passed_over is not None:
        return one.passed_over
    return {
        "start": _wait(one),
        "time": f"about {_long(one.end)}",
        "cost": f"about {_money(one)}",
    }[strategy]


def _wait(one: Appraisal) -> str:
    return "at once" if one.wait == 0 else f"in about {_long(one.wait)}"


def _long(seconds: float) -> str:
    """A span as people say it: whole seconds, or whole minutes from an hour on."""
    return format_duration_words(max(1, round(seconds)) if seconds < 3600 else round(seconds / 60) * 60)


def _money(one: Appraisal) -> str:
    """A cost in hundredths, or as exactly as over REST if it is less: 0.00 would compare nothing."""
    amount = f"{one.cost:.6f}" if 0 < one.cost < 0.01 else f"{one.cost:.2f}"
    return amount + (f" {one.currency}" if one.currency else "")
