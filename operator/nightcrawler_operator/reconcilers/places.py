"""The allocator: gives runs that wait under limits the places that are free.

It decides and wakes; each run records in its own status that it has its places, before its first Job.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import errors
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import EXECUTIONS
from nightcrawler_crds.phases import LIVE_SELECTOR
from nightcrawler_operator.claims import Claim
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import apply_list
from nightcrawler_operator.decisions.queueing import is_outdated
from nightcrawler_operator.keys import ExecutionKey, PlacesKey, WorkKey
from nightcrawler_operator.plan import DecideAgain, Done, Outcome, Waiting

_PATIENCE: Final = timedelta(seconds=5)
"""For how long a new leader waits for all runs that were in line, and places for a run placed again."""


class PlacesReconciler:
    """Gives places away. `wake` queues an execution."""

    wake_delay = 0.0

    def __init__(
        self, store: Store, cluster: ClusterState, namespace: str, *, wake: Callable[[WorkKey], None]
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._namespace = namespace
        self._wake_up = wake
        self._opened_at: datetime | None = None

    def all_keys(self) -> list[PlacesKey]:
        """The one key, if runs wait for places."""
        return [PlacesKey()] if len(self._cluster.places) else []

    async def reconcile(self, _key: PlacesKey) -> Outcome:
        """Give away what is free. Raises ApiError if a new leader cannot list the executions."""
        places = self._cluster.places
        if not len(places):
            return Done()
        if not places.is_open:
            await self._open()
        now = utcnow()
        assert self._opened_at is not None
        if now < self._opened_at + _PATIENCE and places.missing:
            # Of those that wait, the first must not lose its turn because it is observed later than others.
            return Waiting(self._opened_at + _PATIENCE)
        return self._give(now)

    async def _open(self) -> None:
        """List the executions: all that a former leader gave away is known then."""
        places = self._cluster.places
        term = places.term
        unreadable: list[errors.Unreadable] = []
        found, version = await self._store.list_with_version(
            EXECUTIONS,
            self._namespace,
            ExecutionView,
            field_selector=LIVE_SELECTOR,
            on_unreadable=unreadable.append,
        )
        if places.term != term:
            raise DecideAgain  # it began before this process leads, or leads again
        apply_list(self._cluster, EXECUTIONS, found, unreadable, version)
        places.open()
        self._opened_at = utcnow()

    def _give(self, now: datetime) -> Outcome:
        places = self._cluster.places
        allocation = places.allocate()
        renewing = False
        for claim in allocation.granted:
            if self._is_placed_anew(claim, now):
                renewing = True
                continue
            places.grant(claim)
            self._wake(claim)
        for claim, _ in allocation.blocked:
            # Another Environment may have room for the first of a line.
            self._is_placed_anew(claim, now)
        for claim in places.consider():
            self._wake(claim)  # it records what it waits for
        return Waiting(now + _PATIENCE) if renewing else Done()

    def _is_placed_anew(self, claim: Claim, now: datetime) -> bool:
        """Whether a run should first decide again where to run; it is woken for that, and given some time."""
        if not is_outdated(claim, now):
            return False
        asked = self._cluster.places.asked_to_renew(claim, now)
        if asked == now:
            self._wake(claim)
        return now < asked + _PATIENCE

    def _wake(self, claim: Claim) -> None:
        self._wake_up(ExecutionKey(claim.rank.namespace, claim.rank.name))
