"""How long a run will take in an Environment: the usual time of this workflow there, or the best guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from nightcrawler_crds.planning.resolved import StepDefaults, resolve, run_timeout
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec

Seconds = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """How long earlier runs of a workflow took.

    Attributes:
        runs: The seconds of the last completed runs, by Environment; empty where they ran without one.
        steps: The seconds of steps that completed, by Environment and step. Only needed without such a run.
    """

    runs: Mapping[str, Seconds] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Seconds]] = field(default_factory=dict)


def speed_of(spec: EnvironmentSpec) -> float:
    """The relative speed of steps in an Environment."""
    return spec.speed or 1.0


def expected_duration(
    place: str,
    environments: Mapping[str, EnvironmentSpec],
    past: Past,
    revision: Revision,
    limits: StepDefaults,
) -> float:
    """Seconds from the first start to the end.

    The median of the last completed runs there; else of those elsewhere, scaled by speed; else the longest
    way through its steps, each with its own median, or what its timeout allows. `environments` are all
    candidates, by name.
    """
    usual = _usual(place, environments, past.runs)
    return _by_steps(place, environments, past, revision, limits) if usual is None else usual


def longest_way(revision: Revision, weights: Mapping[str, float]) -> float:
    """The largest sum of weights along steps that wait for each other."""
    known: dict[str, float] = {}
    waiting = list(revision.steps)
    while waiting:
        ready = [name for name in waiting if all(before in known for before in revision.depends[name])]
        if not ready:
            break  # a cycle is refused elsewhere
        for name in ready:
            known[name] = weights[name] + max((known[b] for b in revision.depends[name]), default=0.0)
        waiting = [name for name in waiting if name not in known]
    return max(known.values(), default=0.0)


def _usual(
    place: str, environments: Mapping[str, EnvironmentSpec], seconds: Mapping[str, Seconds]
) -> float | None:
    """The median there; else of those elsewhere, as long as they would have taken there."""
    if there := seconds.get(place):
        return median(there)
    here = _speed(place, environments)
    elsewhere = [one * _speed(name, environments) / here for name, all_ in seconds.items() for one in all_]
    return median(elsewhere) if elsewhere else None


def _speed(place: str, environments: Mapping[str, EnvironmentSpec]) -> float:
    spec = environments.get(place)
    return speed_of(spec) if spec is not None else 1.0


def _by_steps(
    place: str,
    environments: Mapping[str, EnvironmentSpec],
    past: Past,
    revision: Revision,
    limits: StepDefaults,
) -> float:
    most, here = run_timeout(revision.spec, limits), _speed(place, environments)
    spec = environments.get(place) or EnvironmentSpec()
    weights: dict[str, float] = {}
    known = False
    for name, step in revision.steps.items():
        of_step = {where: steps[name] for where, steps in past.steps.items() if name in steps}
        usual = _usual(place, environments, of_step)
        known = known or usual is not None
        bound = resolve(step, revision, spec, limits).timeout or most
        weights[name] = bound / here if usual is None else usual
    # A timeout bounds what is known; what is only guessed by timeouts depends on the speed in all.
    return min(most if known else most / here, longest_way(revision, weights) or most)
