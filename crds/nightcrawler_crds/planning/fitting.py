"""Whether a step could run on a node of an Environment, were the node empty.

Only what is certain speaks against a node: labels, taints and amounts. Affinities of a podTemplate and the
resources of side-cars are left to the scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import Taint
from nightcrawler_crds.planning.nodes import KEEPS_OUT, NodeRoom, Nodes, is_of_state
from nightcrawler_crds.planning.resolved import ResolvedStep, StepDefaults, pod_spec_of, requests, resolve
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_crds.words import Bytes, Cpu


def nodes_of(spec: EnvironmentSpec, nodes: Nodes) -> list[NodeRoom]:
    """The nodes of an Environment: those that its selector and tolerations allow, its podTemplate's too."""
    template = pod_spec_of(spec.pod_template)
    selector = {**(template.get("nodeSelector") or {}), **(spec.node_selector or {})}
    tolerations = [*(spec.tolerations or ()), *(template.get("tolerations") or ())]
    return [room for room in nodes.rooms if is_selected(room, selector) and is_tolerated(room, tolerations)]


def fits(room: NodeRoom, asked: Mapping[str, float]) -> bool:
    """Whether an empty node has as much of everything."""
    return all(amount <= room.allocatable.get(resource, 0.0) for resource, amount in asked.items())


def allowed_nodes(resolved: ResolvedStep, nodes: Nodes) -> list[NodeRoom]:
    """The nodes that the step may use in its Environment, whatever room they have."""
    gpus = resolved.gpus(nodes.gpu_products)
    selector, tolerations = resolved.node_selector(nodes.gpu_products), resolved.tolerations
    products = gpus.products if gpus else None
    return [
        room
        for room in nodes.rooms
        if is_selected(room, selector)
        and is_tolerated(room, tolerations)
        and (products is None or room.labels.get(names.GPU_PRODUCT_LABEL) in products)
    ]


def too_large(
    environment: str, spec: EnvironmentSpec, revision: Revision, nodes: Nodes, limits: StepDefaults
) -> str | None:
    """The sentence about the first step that no node could hold; None if each fits somewhere."""
    for step in revision.steps.values():
        resolved = resolve(step, revision, spec, limits)
        rooms = allowed_nodes(resolved, nodes)
        why = larger_than_all(resolved, rooms, nodes)
        if why or not rooms:
            what = f"no node of the environment {environment!r} could hold the step {step.name!r}"
            return f"{what}: {why or 'no node has the labels and GPUs that it asks for'}"
    return None


def larger_than_all(
    resolved: ResolvedStep, rooms: Sequence[NodeRoom], nodes: Nodes, called: str = "the largest node"
) -> str | None:
    """What a step asks for that none of these nodes has, were it empty; None if it fits or there are none.

    `called` is what the largest of them is called in the sentence.
    """
    asked = requests(resolved, nodes.gpu_products)
    if not rooms or any(fits(room, asked) for room in rooms):
        return None
    for resource, amount in asked.items():
        largest = max(rooms, key=lambda room: room.allocatable.get(resource, 0.0))
        most = largest.allocatable.get(resource, 0.0)
        if amount > most:
            asks, there = (amount_in_words(resource, one) for one in (amount, most))
            return f"it asks for {asks}, and {called}, {largest.name}, has {there}"
    return f"it asks for {_all(asked)} together, and no single node has all of that"


def _all(asked: Mapping[str, float]) -> str:
    return ", ".join(amount_in_words(resource, amount) for resource, amount in asked.items())


def amount_in_words(resource: str, amount: float) -> str:
    """An amount for a sentence: 4 CPUs, 64Gi of memory, 8 nvidia.com/gpu."""
    if resource == "cpu":
        return f"{Cpu(round(amount * 1000)).quantity} CPU"
    if resource in ("memory", "ephemeral-storage"):
        return f"{Bytes(round(amount)).quantity} of {resource}"
    return f"{amount:g} {resource}"


def is_selected(room: NodeRoom, selector: Mapping[str, str]) -> bool:
    """Whether a node has these labels."""
    return all(room.labels.get(label) == value for label, value in selector.items())


def is_tolerated(room: NodeRoom, tolerations: Iterable[Mapping[str, Any]]) -> bool:
    """Whether these tolerations allow all taints of a node that keep Pods out."""
    there = list(tolerations)
    return all(
        any(_tolerates(toleration, taint) for toleration in there)
        for taint in room.taints
        if taint.effect in KEEPS_OUT and not is_of_state(taint)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    key = toleration.get("key")
    if toleration.get("operator") == "Exists":
        return key in (None, "", taint.key)
    return key == taint.key and (toleration.get("value") or "") == taint.value
