"""Runs whose steps share a volume of one node: which nodes can hold all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from nightcrawler_crds import names
from nightcrawler_crds.planning.fitting import amount_in_words, fits, is_selected, is_tolerated
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.planning.resolved import ResolvedStep, StepDefaults, resolve, tolerates_device
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import Moment, moments
from nightcrawler_crds.v1alpha1 import EnvironmentSpec

_HOSTNAME: Final = "kubernetes.io/hostname"
_INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
_MOST_NAMES: Final = 100


def contradiction(
    revision: Revision, spec: EnvironmentSpec, limits: StepDefaults, nodes: Nodes
) -> str | None:
    """The sentence about two steps that ask for nodes with different values of a label; None if none do."""
    wanted: dict[str, tuple[str, str]] = {}
    for step in revision.steps.values():
        selector = resolve(step, revision, spec, limits).node_selector(nodes.gpu_products)
        for label, value in selector.items():
            first, there = wanted.setdefault(label, (step.name, value))
            if there != value:
                return (
                    f"the steps {first!r} and {step.name!r} share a volume that is on one node, and ask for "
                    f"nodes whose label {label} is {there!r} and {value!r}; ask for the same nodes, or run "
                    "where volumes can be on several nodes (accessMode ReadWriteMany of an Environment)"
                )
    return None


def too_large_together(
    environment: str, spec: EnvironmentSpec, revision: Revision, nodes: Nodes, limits: StepDefaults
) -> str | None:
    """The sentence about steps that no node could hold, were it empty; None if one could hold all."""
    rooms = common_nodes(revision, spec, nodes, limits)
    what = f"no node of the environment {environment!r} could hold the steps, which share a volume on it"
    if not rooms:
        return f"{what}: no node has the labels and GPUs that all of them ask for"
    sums = moments(revision, spec, limits, nodes.gpu_products)
    if _fitting(rooms, sums):
        return None
    for moment in sums:
        for resource, amount in moment.asked.items():
            largest = max(rooms, key=lambda room: room.allocatable.get(resource, 0.0))
            most = largest.allocatable.get(resource, 0.0)
            if amount > most:
                asks = "asks" if len(moment.steps) == 1 else "ask together"
                asked, there = (amount_in_words(resource, one) for one in (amount, most))
                return (
                    f"{what}: {_called(moment.steps)} {asks} for {asked}, and the largest node, "
                    f"{largest.name}, has {there}"
                )
    return f"{what}: no single node has all that they ask for"


def node_terms(
    revision: Revision, spec: EnvironmentSpec, limits: StepDefaults, nodes: Nodes
) -> tuple[Mapping[str, Any], ...]:
    """Terms of a node affinity that keep the volume from nodes that are too small for a later step.

    By the type of instance where nodes have one, so that an autoscaler can add such a node, else by name.
    None if all nodes are large enough, or none is known that is.
    """
    rooms = common_nodes(revision, spec, nodes, limits)
    large = _fitting(rooms, moments(revision, spec, limits, nodes.gpu_products))
    if len(large) == len(rooms):
        return ()
    large = [room for room in large if room.open] or large
    types = sorted({room.labels[_INSTANCE_TYPE] for room in large if _INSTANCE_TYPE in room.labels})
    hosts = sorted(
        room.labels[_HOSTNAME]
        for room in large
        if _INSTANCE_TYPE not in room.labels and _HOSTNAME in room.labels
    )
    chosen = ((_INSTANCE_TYPE, types), (_HOSTNAME, hosts))
    return tuple(
        {"matchExpressions": [{"key": label, "operator": "In", "values": values[:_MOST_NAMES]}]}
        for label, values in chosen
        if values
    )


def common_nodes(
    revision: Revision, spec: EnvironmentSpec, nodes: Nodes, limits: StepDefaults
) -> list[NodeRoom]:
    """The nodes that every step may use, whatever room they have; each tolerates what any does."""
    resolved = [resolve(step, revision, spec, limits) for step in revision.steps.values()]
    gpus = [one for step in resolved if (one := step.gpus(nodes.gpu_products)) is not None]
    selector = {label: value for step in resolved for label, value in _selector(step, nodes).items()}
    tolerations = [toleration for step in resolved for toleration in step.tolerations]
    tolerations += [tolerates_device(resource) for resource in sorted({one.resource for one in gpus})]
    products = [one.products for one in gpus if one.products is not None]
    return [
        room
        for room in nodes.rooms
        if is_selected(room, selector)
        and is_tolerated(room, tolerations)
        and all(room.labels.get(names.GPU_PRODUCT_LABEL) in some for some in products)
    ]


def nodes_with_devices(
    revision: Revision, spec: EnvironmentSpec, nodes: Nodes, limits: StepDefaults
) -> list[NodeRoom]:
    """Those of the common nodes that have each device that a step asks for, be it another step."""
    resolved = [resolve(step, revision, spec, limits) for step in revision.steps.values()]
    devices = {one.resource for step in resolved if (one := step.gpus(nodes.gpu_products)) is not None}
    return [
        room
        for room in common_nodes(revision, spec, nodes, limits)
        if all(room.allocatable.get(device) for device in devices)
    ]


def _selector(resolved: ResolvedStep, nodes: Nodes) -> dict[str, str]:
    return resolved.node_selector(nodes.gpu_products)


def _fitting(rooms: Iterable[NodeRoom], sums: Sequence[Moment]) -> list[NodeRoom]:
    return [room for room in rooms if all(fits(room, moment.asked) for moment in sums)]


def _called(steps: Sequence[str]) -> str:
    shown = [repr(name) for name in steps[:5]]
    if len(steps) > len(shown):
        return f"{', '.join(shown)} and {len(steps) - len(shown)} others"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
