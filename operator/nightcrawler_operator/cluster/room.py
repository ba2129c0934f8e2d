"""What is free on the nodes: what they have, less what all Pods on them ask for, ours and others'.

Only observed, and a second late: advice for the choice of an Environment, and what its status shows. The
scheduler has the last word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.roomviews import AskingPodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.planning.nodes import NodeRoom

_NOT_ENDED: Final = "status.phase!=Succeeded,status.phase!=Failed"
_SOME: Final = 1e-6
"""Less than any amount that a Pod can ask for; sums of floats may leave that much."""


class Room:
    """Follows the Pods of all nodes, each as its node and what it asks for, while anybody wants to know.

    `on_change` is called when something else is free than before.
    """

    def __init__(self, store: Store, on_change: Callable[[], None]) -> None:
        self._store = store
        self._on_change = on_change
        self._wanted, self._unwanted = asyncio.Event(), asyncio.Event()
        self.forget()

    def want(self, wanted: bool) -> None:
        """Whether to follow the Pods; they cost memory, and a watch of all of them."""
        on, off = (self._wanted, self._unwanted) if wanted else (self._unwanted, self._wanted)
        on.set()
        off.clear()

    def forget(self) -> None:
        """Forget everything, and start with a new informer."""
        self._used: dict[str, dict[str, float]] = {}
        self.informer = Informer(
            self._store, names.PODS, AskingPodView, field_selector=_NOT_ENDED, on_change=self._changed
        )
        self.informer.title = "Pod of a node"
        self.informer.cache.max_tombstones = 0

    @property
    def is_followed(self) -> bool:
        """Whether the Pods are followed at present."""
        return self._wanted.is_set()

    async def run(self) -> None:
        """Follow the Pods whenever that is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            following = asyncio.create_task(self.informer.run())
            ending = asyncio.create_task(self._unwanted.wait())
            try:
                done, _ = await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
                if following in done:
                    following.result()  # only a bug ends it
            finally:
                following.cancel()
                ending.cancel()
                await asyncio.gather(following, ending, return_exceptions=True)
            self.forget()

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
        if old is not None and new is not None and _takes(old) == _takes(new):
            return  # nearly all changes of a Pod: its status
        for pod, sign in ((old, -1.0), (new, 1.0)):
            if pod is None or not pod.spec.node_name:
                continue
            used = self._used.setdefault(pod.spec.node_name, {})
            for resource, amount in (*pod.spec.requests, ("pods", 1.0)):
                total = used.get(resource, 0.0) + sign * amount
                if abs(total) > _SOME:
                    used[resource] = total
                else:
                    used.pop(resource, None)
            if not used:
                del self._used[pod.spec.node_name]
        if (old is not None and old.spec.node_name) or (new is not None and new.spec.node_name):
            self._on_change()


def _takes(pod: AskingPodView) -> tuple[object, ...]:
    return pod.spec.node_name, pod.spec.requests
