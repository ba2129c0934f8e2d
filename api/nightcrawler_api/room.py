"""Whether a run has room in an Environment, by what the operator has observed there; pure.

The operator sees the free room of each node when it places a run. Here only its sum, the node with the most
of it, and the GPUs by model are known, a few seconds old: enough for an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from nightcrawler_crds.kube.views import EnvironmentStatusView, GpuAmountsView
from nightcrawler_crds.planning.resolved import ResolvedStep, StepDefaults, requests, resolve
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import is_on_one_node
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_crds.words.quantities import parse_quantity

_PLAIN: Final = ("cpu", "memory", "ephemeral-storage")


def has_room(
    there: EnvironmentStatusView,
    spec: EnvironmentSpec,
    revision: Revision,
    defaults: StepDefaults,
    copies: int,
) -> bool | None:
    """Whether the first steps of so many such runs have room now; None if it is unknown what is free."""
    if there.free is None:
        return None
    products = models(there)
    steps = [resolve(step, revision, spec, defaults) for step in revision.steps.values()]
    first = [one for one in steps if not revision.depends[one.step.name]]
    total = _sum(requests(one, products) for one in first)
    if is_on_one_node(revision.spec, spec, defaults):
        # What the first ones ask for together; later ones need GPUs there, which may be busy now.
        asked, gpus_fit = [total], _has_all_gpus(steps, total, products, there.gpus or ())
    else:
        asked = [requests(one, products) for one in first]
        gpus_fit = all(_has_gpus(one, products, there.gpus or ()) for one in first)
    largest = _amounts(there.largest_free_node.free) if there.largest_free_node else {}
    return (
        gpus_fit
        and all(_fits({k: v for k, v in one.items() if k in _PLAIN}, largest) for one in asked)
        and _fits({k: v * copies for k, v in total.items()}, _amounts(there.free))
    )


def models(there: EnvironmentStatusView) -> tuple[str, ...]:
    """The models of the GPUs that are there."""
    return tuple(one.model for one in there.gpus or () if one.model)


def _has_gpus(step: ResolvedStep, products: tuple[str, ...], gpus: Iterable[GpuAmountsView]) -> bool:
    asked = step.gpus(products)
    if asked is None:
        return True
    return any(
        one.resource == asked.resource
        and (asked.products is None or one.model in asked.products)
        and (one.largest_free or 0) >= asked.count
        for one in gpus
    )


def _has_all_gpus(
    steps: Iterable[ResolvedStep],
    first: Mapping[str, float],
    products: tuple[str, ...],
    gpus: Iterable[GpuAmountsView],
) -> bool:
    """Whether there are GPUs that all steps accept, and enough of them are free on one node for the first."""
    asked = [wanted for step in steps if (wanted := step.gpus(products)) is not None]
    if not asked:
        return True
    return any(
        all(
            one.resource == wanted.resource and (wanted.products is None or one.model in wanted.products)
            for wanted in asked
        )
        and (one.largest_free or 0) >= first.get(one.resource, 0.0)
        for one in gpus
    )


def _fits(asked: Mapping[str, float], free: Mapping[str, float]) -> bool:
    return all(amount <= free.get(resource, 0.0) for resource, amount in asked.items())


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for resource, amount in part.items():
            total[resource] = total.get(resource, 0.0) + amount
    return total


def _amounts(quantities: Mapping[str, str]) -> dict[str, float]:
    return {resource: float(parse_quantity(written)) for resource, written in quantities.items()}
