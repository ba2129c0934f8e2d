"""How long a run will take in an Environment: the usual time of this workflow there, or the best guess."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from nightcrawler_crds.planning.resolved import StepDefaults, resolve, run_timeout
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec


def speed_of(spec: EnvironmentSpec) -> float:
    """The relative speed of steps in an Environment."""
    return spec.speed or 1.0


def expected_duration(
    place: str,
    environments: Mapping[str, EnvironmentSpec],
    usual: Mapping[str, tuple[float, ...]],
    revision: Revision,
    limits: StepDefaults,
) -> float:
    """Seconds from the first start to the end.

    The median of the last completed runs there; else of those elsewhere, scaled by speed; else what its
    timeouts allow along the longest way through its steps. `environments` are all candidates, by name.
    """
    here = speed_of(environments[place])
    if there := usual.get(place):
        return median(there)
    elsewhere = [
        seconds * speed_of(environments.get(name, EnvironmentSpec())) / here
        for name, runs in usual.items()
        for seconds in runs
    ]
    return median(elsewhere) if elsewhere else _by_timeouts(revision, environments[place], limits) / here


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


def _by_timeouts(revision: Revision, spec: EnvironmentSpec, limits: StepDefaults) -> float:
    most = run_timeout(revision.spec, limits)
    bounds = {
        name: resolve(step, revision, spec, limits).timeout or most for name, step in revision.steps.items()
    }
    return min(most, longest_way(revision, bounds))
