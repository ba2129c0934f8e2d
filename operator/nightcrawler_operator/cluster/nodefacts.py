"""What decisions know of the nodes, put together when it is asked for and not with every change.

A cluster may have thousands of nodes, each of which changes several times while it joins.
"""

from __future__ import annotations

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import NodeView
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes, room_of


class NodeFacts:
    """The nodes as decisions look at them."""

    def __init__(self) -> None:
        # Each node's room, and whether it is ready, by its name.
        self._of: dict[str, tuple[NodeRoom, bool]] = {}
        self._nodes: Nodes | None = None

    def change(self, name: str, node: NodeView | None) -> bool:
        """Note a node as it is now, None if it has gone; whether anything of it differs for decisions."""
        facts = None if node is None else (room_of(node), node.ready)
        if facts == self._of.get(name):
            return False
        if facts is None:
            del self._of[name]
        else:
            self._of[name] = facts
        self._nodes = None
        return True

    @property
    def nodes(self) -> Nodes:
        """All of them."""
        if self._nodes is None:
            rooms = tuple(room for room, _ in self._of.values())
            products = (room.labels.get(names.GPU_PRODUCT_LABEL) for room in rooms)
            self._nodes = Nodes(
                gpu_products=frozenset(product for product in products if product),
                ready=frozenset(name for name, (_, ready) in self._of.items() if ready),
                rooms=rooms,
            )
        return self._nodes
