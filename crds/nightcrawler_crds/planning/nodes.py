"""Nodes as far as the placement of a run looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from nightcrawler_crds.kube.nativeviews import NodeView, Taint
from nightcrawler_crds.words.quantities import parse_quantity

KEEPS_OUT: Final = ("NoSchedule", "NoExecute")
"""The effects of taints that keep Pods out."""
_OF_THE_CLUSTER: Final = "node.kubernetes.io/"
"""Taints of a node's condition, which come and go."""


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """A node as far as placement looks at it; `allocatable` has numbers of cores, bytes and devices."""

    name: str
    labels: Mapping[str, str]
    allocatable: Mapping[str, float]
    taints: tuple[Taint, ...] = ()
    open: bool = True
    """Whether it is ready, not cordoned, and without a taint of its state, such as that its disk is full."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The GPU models of the nodes, which nodes are ready, and what each has."""

    gpu_products: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    rooms: tuple[NodeRoom, ...] = ()


NO_NODES: Final = Nodes()


def is_of_state(taint: Taint) -> bool:
    """Whether a taint keeps Pods out because of a node's state, such as full disks, until that passes."""
    return taint.effect in KEEPS_OUT and taint.key.startswith(_OF_THE_CLUSTER)


def room_of(node: NodeView) -> NodeRoom:
    """What placement looks at in a node."""
    return NodeRoom(
        name=node.metadata.name,
        labels=node.metadata.labels,
        allocatable={name: parse_quantity(amount) for name, amount in node.status.allocatable.items()},
        taints=node.spec.taints,
        open=node.ready and not node.spec.unschedulable and not any(map(is_of_state, node.spec.taints)),
    )


def nodes_as_seen(views: Iterable[NodeView]) -> Nodes:
    """All nodes, from a list of them."""
    there = list(views)
    return Nodes(
        gpu_products=frozenset(product for node in there if (product := node.metadata.gpu_product)),
        ready=frozenset(node.metadata.name for node in there if node.ready),
        rooms=tuple(map(room_of, there)),
    )
