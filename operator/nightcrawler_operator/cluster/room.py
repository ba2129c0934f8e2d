"""What is free on the nodes: what they have, less what all Pods on them ask for, ours and others'.

Only observed, and a second late: advice for the choice of an Environment. The scheduler has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.roomviews import AskingPodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_operator.snapshot import NodeRoom

_NOT_ENDED: Final = "status.phase!=Succeeded,status.phase!=Failed"
_SOME: Final = 1e-6
"""Less than any amount that a Pod can ask for; sums of floats may leave that much."""


class Room:
    """Follows the Pods of all nodes, each as its node and what it asks for."""

    def __init__(self, store: Store) -> None:
        self._used: dict[str, dict[str, float]] = {}
        self.informer = Informer(
            store, names.PODS, AskingPodView, field_selector=_NOT_ENDED, on_change=self._changed
        )
        self.informer.title = "Pod of a node"

    def free(self, rooms: Iterable[NodeRoom]) -> Mapping[str, Mapping[str, float]] | None:
        """What is free on each node that takes Pods, by its name; None before all Pods were listed."""
        if not self.informer.synced.is_set():
            return None
        return {
            room.name: {
                resource: amount - self._used.get(room.name, {}).get(resource, 0.0)
                for resource, amount in room.allocatable.items()
            }
            for room in rooms
            if room.open
        }

    def _changed(self, old: AskingPodView | None, new: AskingPodView | None) -> None:
        for pod, sign in ((old, -1.0), (new, 1.0)):
            if pod is None or not pod.spec.node_name:
                continue
            used = self._used.setdefault(pod.spec.node_name, {})
            for resource, amount in (*pod.spec.requests.items(), ("pods", 1.0)):
                total = used.get(resource, 0.0) + sign * amount
                if abs(total) > _SOME:
                    used[resource] = total
                else:
                    used.pop(resource, None)
            if not used:
                del self._used[pod.spec.node_name]
