"""Who works: one of the replicas, chosen through a Lease.

All replicas keep their caches warm; only the leader works. The rules are those of client-go, so that
its documentation holds: a leader that could not renew for `renew_deadline` stops, the others wait
for `lease_duration` since they last *saw* the Lease change, and no clock is compared with another's.
What is safe even if that should fail is the fence around it: every status write carries a
resourceVersion, and every child has a deterministic name.

The Lease is written by merge patch with its resourceVersion, not by PUT: it fails on a conflict just
the same, but leaves alone what others have written on the Lease, such as a chart's labels.

A holder that is known to be dead (`decisions.death`) is followed at once. That is safe although requests of
the dead one may still be on their way, for the kernel sends what it had been given, and the API server may
have put a request into a queue. Such a request meets the fence, whenever it arrives:

- renewing or giving back the Lease carries a resourceVersion, and the claim that followed has changed it; if
  it arrives before the claim, the claim fails and is repeated on what is then there;
- so does every status write, every adoption, and the freeing of a Pod: either it arrives first and the
  successor's own write fails, which then decides anew, or it fails itself;
- a Job or Pod has the name of its attempt: either the successor finds it made, or has made it itself. Names
  are free again only once the Jobs of a run that is over, or was cancelled, are removed. A Job that comes
  after that is removed as one left over, without a Pod, for that is the successor's to make; a Pod has an
  owner that is gone, and goes with it (the garbage collector);
- deletions name a UID, and follow from what does not change any more: a run has ended or was cancelled, an
  attempt is over;
- a revision has the name of its content.

This is what already kept a leader apart from one that was suspended in the middle of a request, whose Lease
ran out. `tests/unit/test_simulated_late_requests.py` delivers such requests late.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from nightcrawler_crds import errors
from nightcrawler_crds.clock import to_wire_micro, utcnow
from nightcrawler_crds.kube.views import LeaseView
from nightcrawler_crds.names import ANNOTATION_HOLDER, LEASES, Resource
from nightcrawler_operator.decisions.death import Holder, written_by

log = logging.getLogger(__name__)

T = TypeVar("T")

# Of the retry period: a request must have failed before the next attempt is due.
_REQUEST_SHARE: Final = 0.9
_JITTER: Final = 0.2
_MOMENT: Final = 0.001
# Looking and claiming again after a conflict; who loses twice waits for the next turn.
_TRIES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """Which Lease, and its times in seconds: `lease_duration` > `renew_deadline` > `retry_period`."""

    namespace: str
    name: str
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


class LeaseStore(Protocol):
    """What an elector needs of a `nightcrawler_crds.kube.store.Store`."""

    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        """See `Store.get`."""
        ...

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any], kind: type[T]) -> T:
        """See `Store.create`."""
        ...

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: dict[str, Any], kind: type[T]
    ) -> T:
        """See `Store.patch`."""
        ...


class DeathCheck(Protocol):
    """Who can tell that the Lease's holder is dead; see `holder.Witness`."""

    @property
    def own(self) -> Holder:
        """This process, as its Lease is to show it."""
        ...

    async def why_dead(self, holder: Holder) -> str:
        """Why the holder is known to be dead, as the end of a sentence; empty if it is not known."""
        ...


class Elector:
    """Takes part in the election.

    `on_started` and `on_stopped` are called in turns, synchronously, and must not raise. From
    `on_stopped` on nothing may be written: whoever writes asks `time_left` first, and gives the
    request no longer than that.
    """

    def __init__(
        self,
        store: LeaseStore,
        terms: LeaseTerms,
        witness: DeathCheck,
        *,
        on_started: Callable[[], None],
        on_stopped: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = witness.own.identity
        self.leader_changes = 0
        self._store = store
        self._terms = terms
        self._witness = witness
        self._description = msgspec.json.encode(witness.own).decode()
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._clock = clock
        self._leading = False
        self._deadline = -math.inf
        self._watchdog: asyncio.TimerHandle | None = None
        # The Lease as last seen, and since when it has been so, by our clock.
        self._seen: LeaseView | None = None
        self._seen_at = -math.inf
        self._look_first = True
        self._acquired = ""
        self._has_claimed = False
        self._complaint = ""

    @property
    def is_leader(self) -> bool:
        """Whether this process may work now."""
        return self.time_left() > 0

    def time_left(self) -> float:
        """For how many seconds this process certainly is the leader, whatever happens; 0 if it is not."""
        # By the clock and not by the watchdog alone: that is late if the loop was held up.
        return max(0.0, self._deadline - self._clock()) if self._leading else 0.0

    async def notice(self) -> None:
        """See the Lease once, before taking part: one that a dead leader has left runs out from then on.

        It counts from when it was first seen as it is; so it can run out while this process still
        reads what it needs to lead.
        """
        try:
            await self._look()
        except errors.ApiError as error:
            self._complain(str(error))

    async def run(self) -> None:
        """Take part until cancelled, then stop leading and give the Lease back.

        Stop the workers before cancelling this: with the Lease given back, another begins at once.
        """
        try:
            while True:
                began = self._clock()
                await self._take_turn()
                await asyncio.sleep(self._pause(began))
        finally:
            self._stop_leading("this process is ending", level=logging.INFO)
            await self._release()

    # --- turns -------------------------------------------------------------------------------------

    async def _take_turn(self) -> None:
        """Renew or acquire the Lease if that is possible now."""
        try:
            for _ in range(_TRIES):
                if await self._look_and_claim():
                    break
        except errors.ApiError as error:
            self._complain(str(error))
        else:
            self._complaint = ""

    async def _look_and_claim(self) -> bool:
        """One try; False if somebody else was faster, so that it is to be looked at anew."""
        if self._look_first:
            await self._look()
        lease = self._seen
        if lease is not None and not self._is_free(lease) and not await self._is_orphaned(lease):
            return True
        began = self._clock()
        self._has_claimed = True
        try:
            claimed = await self._in_time(self._create() if lease is None else self._claim(lease))
        except (errors.Conflict, errors.AlreadyExists, errors.NotFound):
            self._look_first = True
            return False
        self._take_in(claimed)
        self._lead_from(began)
        return True

    async def _look(self) -> None:
        try:
            lease = await self._in_time(
                self._store.get(LEASES, self._terms.namespace, self._terms.name, LeaseView)
            )
        except errors.NotFound:
            self._seen = None
            return
        self._take_in(lease)

    def _take_in(self, lease: LeaseView) -> None:
        """Remember a Lease that the API server has shown us, and when it last changed."""
        seen, holder = self._seen, lease.spec.holder_identity
        # The time after the answer: the change itself was earlier, so that we rather wait too long.
        if seen is None or seen.metadata.uid != lease.metadata.uid or seen.spec != lease.spec:
            self._seen_at = self._clock()
        if seen is not None and holder and holder != seen.spec.holder_identity:
            self.leader_changes += 1
        self._seen = lease
        # What is ours only we change: it can be renewed without looking first.
        self._look_first = holder != self.identity
        if self._look_first:
            self._stop_leading(f"the Lease is held by {holder or 'nobody'}")

    def _is_free(self, lease: LeaseView) -> bool:
        holder = lease.spec.holder_identity
        return not holder or holder == self.identity or self._clock() >= self._expires(lease)

    async def _is_orphaned(self, lease: LeaseView) -> bool:
        """Whether the holder is known to be dead, so that its Lease need not run out."""
        holder = written_by(lease)
        if holder is None:
            return False
        why = await self._in_time(self._witness.why_dead(holder))
        if why:
            log.info("the leader (%s) is dead: %s; taking its Lease", holder.identity, why)
        return bool(why)

    def _expires(self, lease: LeaseView) -> float:
        return self._seen_at + (lease.spec.lease_duration_seconds or self._terms.lease_duration)

    def _pause(self, began: float) -> float:
        """Until the next turn, in seconds."""
        now = self._clock()
        if self._leading:
            return max(0.0, began + self._terms.retry_period - now)
        # Spread, so that replicas started together do not ask together.
        pause = self._terms.retry_period * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - hides nothing
        seen = self._seen
        if seen is not None and now < self._expires(seen):
            # Not less than a moment: the clock may be just short of it, and must get to move on.
            pause = min(pause, max(_MOMENT, self._expires(seen) - now))
        return pause

    # --- leading -----------------------------------------------------------------------------------

    def _lead_from(self, began: float) -> None:
        """Lead until `renew_deadline` after a request that began then and has succeeded."""
        self._deadline = began + self._terms.renew_deadline
        left = self._deadline - self._clock()
        if left <= 0:
            return
        self._wind_up(left)
        if not self._leading:
            self._leading = True
            log.info("this process (%s) leads", self.identity)
            self._on_started()

    def _wind_up(self, seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = asyncio.get_running_loop().call_later(seconds, self._bark)

    def _bark(self) -> None:
        """Stop leading when the time is up, even while a request hangs."""
        left = self._deadline - self._clock()
        if left > 0:
            self._wind_up(left)
        else:
            self._stop_leading(f"the Lease could not be renewed for {self._terms.renew_deadline:g} s")

    def _stop_leading(self, why: str, *, level: int = logging.WARNING) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if self._leading:
            self._leading = False
            log.log(level, "this process (%s) no longer leads: %s", self.identity, why)
            self._on_stopped()

    async def _release(self) -> None:
        """Give the Lease back if it is ours, so that nobody has to wait for it to run out."""
        if not self._has_claimed:
            return
        try:
            for _ in range(_TRIES):
                # A claim may have been under way when we were cancelled: only the API server knows.
                await self._look()
                lease = self._seen
                if lease is None or lease.spec.holder_identity != self.identity:
                    return
                try:
                    spec = {"holderIdentity": None, "renewTime": _now()}
                    await self._in_time(self._write(lease, spec, {"annotations": {ANNOTATION_HOLDER: None}}))
                    return
                except errors.Conflict:
                    continue
        except errors.ApiError as error:
            log.warning("the Lease was not given back and has to run out: %s", error)

    # --- requests ----------------------------------------------------------------------------------

    def _create(self) -> Coroutine[Any, Any, LeaseView]:
        metadata = {"name": self._terms.name, "namespace": self._terms.namespace, **self._signature()}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
        return self._store.create(
            LEASES,
            self._terms.namespace,
            {**body, "spec": {**self._promise(anew=True), "leaseTransitions": 0}},
            LeaseView,
        )

    def _claim(self, lease: LeaseView) -> Coroutine[Any, Any, LeaseView]:
        anew = lease.spec.holder_identity != self.identity
        transitions = lease.spec.lease_transitions + (1 if anew else 0)
        spec = {**self._promise(anew=anew), "leaseTransitions": transitions}
        return self._write(lease, spec, self._signature())

    def _signature(self) -> dict[str, Any]:
        return {"annotations": {ANNOTATION_HOLDER: self._description}}

    def _promise(self, *, anew: bool) -> dict[str, Any]:
        """What a Lease of ours says."""
        now = _now()
        if anew:
            self._acquired = now
        return {
            "holderIdentity": self.identity,
            # Whole seconds, up: others must not think it over earlier than we do.
            "leaseDurationSeconds": math.ceil(self._terms.lease_duration),
            "acquireTime": self._acquired,
            "renewTime": now,
        }

    def _write(
        self, lease: LeaseView, spec: dict[str, Any], metadata: dict[str, Any]
    ) -> Coroutine[Any, Any, LeaseView]:
        version = {"resourceVersion": lease.metadata.resource_version}
        body = {"metadata": {**metadata, **version}, "spec": spec}
        return self._store.patch(LEASES, self._terms.namespace, self._terms.name, body, LeaseView)

    async def _in_time(self, request: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._terms.retry_period * _REQUEST_SHARE):
                return await request
        except TimeoutError:
            raise errors.Unavailable("the API server did not answer in time") from None

    def _complain(self, complaint: str) -> None:
        # Once, not every two seconds, unless something new is wrong.
        level = logging.DEBUG if complaint == self._complaint else logging.WARNING
        log.log(
            level, "the Lease %s/%s cannot be had: %s", self._terms.namespace, self._terms.name, complaint
        )
        self._complaint = complaint


def _now() -> str:
    return to_wire_micro(utcnow())
