"""What a run will cost in an Environment: what its steps ask for, times its duration, at the prices there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from nightcrawler_crds.planning.duration import longest_way
from nightcrawler_crds.planning.resolved import ResolvedStep, StepDefaults, requests, resolve
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_crds.words import parse_gpu
from nightcrawler_crds.words.gpumodels import model_matches

_GB: Final = 1e9
_HOUR: Final = 3600.0
_DIGITS: Final = 6
"""Of a second on one core, the digits that still matter."""
_NO_GPUS: Final = frozenset({"cpu", "memory", "ephemeral-storage"})


def expected_cost(
    revision: Revision,
    spec: EnvironmentSpec,
    duration: float,
    products: Collection[str],
    limits: StepDefaults,
) -> float:
    """The cost of a run of that many seconds.

    How the time is shared among the steps is not known: steps that wait for each other have equal parts.
    """
    deepest = longest_way(revision, dict.fromkeys(revision.steps, 1.0)) or 1.0
    hours = duration / deepest / _HOUR
    steps = (resolve(step, revision, spec, limits) for step in revision.steps.values())
    return sum(hourly(step, products) * hours for step in steps)


def run_cost(
    revision: Revision,
    spec: EnvironmentSpec,
    seconds: Mapping[str, float],
    products: Collection[str],
    limits: StepDefaults,
) -> float | None:
    """The cost of a run whose steps ran for so many seconds, by step; None without prices."""
    if spec.prices is None:
        return None
    steps = ((seconds.get(name, 0.0), step) for name, step in revision.steps.items())
    costs = [
        hourly(resolve(step, revision, spec, limits), products) * ran / _HOUR for ran, step in steps if ran
    ]
    return round(sum(costs), _DIGITS)


def hourly(step: ResolvedStep, products: Collection[str]) -> float:
    """The price of an hour of a step."""
    prices = step.environment.prices
    if prices is None:
        return 0.0
    asked = requests(step, products)
    gpus = sum(amount for resource, amount in asked.items() if resource not in _NO_GPUS)
    return (
        asked.get("cpu", 0.0) * (prices.cpu_hour or 0.0)
        + asked.get("memory", 0.0) / _GB * (prices.memory_gb_hour or 0.0)
        + (gpus * _gpu_hour(step, products) if gpus else 0.0)
    )


def _gpu_hour(step: ResolvedStep, products: Collection[str]) -> float:
    """The price of a GPU: that of its model, else the general one, else the highest of all models."""
    prices = step.environment.prices
    assert prices is not None
    by_model = prices.gpu_hour_by_model or {}
    written = step.resources.gpu
    asked = parse_gpu(written) if written is not None else None
    model = (asked and asked.model) or ""
    wanted = step.gpus(products)
    found = (wanted and wanted.products) or ()
    for name, price in by_model.items():
        if model_matches(model, name) or any(model_matches(name, product) for product in found):
            return price
    if prices.gpu_hour is not None:
        return prices.gpu_hour
    return max(by_model.values(), default=0.0)
