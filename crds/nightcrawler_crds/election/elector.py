"""Leader election through a Lease.

All replicas keep their caches warm; only the leader reconciles. The rules are those of client-go: a leader
that could not renew for `renew_deadline` stops, the others wait for `lease_duration` since they last *saw*
the Lease change, and clocks of different machines are never compared. Even if two should lead, they are
fenced: every status write carries a resourceVersion, and every child has a deterministic name.

The Lease is written by merge patch with its resourceVersion, not by PUT: it fails on a conflict all
the same, but keeps what others have set on the Lease, such as a chart's labels.

A holder that is known to be dead (`death`) is replaced at once. That is safe although its last
requests may still be on their way: the kernel sends what it has buffered, and the API server may have
queued a request. Such a request is fenced, whenever it arrives:

- renewing or releasing the Lease carries a resourceVersion, and the successor's claim has changed it; if it
  arrives before the claim, the claim fails and is retried on the new Lease;
- so does every status write, every adoption, and the removal of a finalizer: either it arrives first, and
  the successor's own write fails and is decided again, or it fails itself;
- a Job or Pod has the name of its attempt: the successor finds it, or has created it itself. Names are free
  again only once the Jobs of an ended or cancelled run are deleted. A Job created after that is deleted as
  a leftover, without a Pod, which only the successor would create; a Pod whose owner is gone is garbage
  collected;
- deletions name a UID, and follow from facts that do not change any more: a run has ended or was cancelled,
  an attempt is over;
- a revision has the name of its content.

The same holds for a leader that was suspended in the middle of a request until its Lease expired.
`tests/unit/test_simulated_late_requests.py` delivers such requests late.
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
from nightcrawler_crds.election.death import Holder, written_by
from nightcrawler_crds.kube.nativeviews import LeaseView
from nightcrawler_crds.names import ANNOTATION_HOLDER, LEASES, Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

# Of the retry period: a request must have failed before the next attempt is due.
_REQUEST_SHARE: Final = 0.9
_JITTER: Final = 0.2
_MOMENT: Final = 0.001
# Reads and claims after a conflict; a replica that loses twice waits for the next retry period.
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
    """Tells whether the Lease's holder is dead; see `holder.Witness`."""

    @property
    def own(self) -> Holder:
        """This process, as written into its Lease."""
        ...

    async def why_dead(self, holder: Holder) -> str:
        """Why the holder is known to be dead, as the end of a sentence; empty if it is not known."""
        ...


class Elector:
    """Takes part in the election.

    `on_started` and `on_stopped` are called alternately, synchronously, and must not raise. After
    `on_stopped` nothing may be written: check `time_left` before each write, and use it as its timeout.
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
        # The Lease as last observed, and when it was seen to change, by our clock.
        self._lease: LeaseView | None = None
        self._changed_at = -math.inf
        self._get_first = True
        self._acquired = ""
        self._has_claimed = False
        self._last_warning = ""

    @property
    def is_leader(self) -> bool:
        """Whether this process leads now."""
        return self.time_left() > 0

    def time_left(self) -> float:
        """For how many seconds this process certainly leads, whatever happens; 0 if it does not."""
        # By the clock, not by the watchdog alone: that is late if the event loop was blocked.
        return max(0.0, self._deadline - self._clock()) if self._leading else 0.0

    async def observe_lease(self) -> None:
        """Read the Lease once, before taking part, so that a dead leader's Lease starts to expire.

        It expires `lease_duration` after it was first observed unchanged: this may pass while this process
        still fills its caches.
        """
        try:
            await self._get_lease()
        except errors.ApiError as error:
            self._warn_once(str(error))

    async def run(self) -> None:
        """Take part until cancelled, then stop leading and release the Lease.

        Stop the workers before cancelling this: once the Lease is released, another replica leads at once.
        """
        try:
            while True:
                began = self._clock()
                await self._acquire_or_renew()
                await asyncio.sleep(self._delay(began))
        finally:
            self._stop_leading("this process is ending", level=logging.INFO)
            await self._release()

    # --- the Lease ---------------------------------------------------------------------------------

    async def _acquire_or_renew(self) -> None:
        """Renew or acquire the Lease if possible now."""
        try:
            for _ in range(_TRIES):
                if await self._get_and_claim():
                    break
        except errors.ApiError as error:
            self._warn_once(str(error))
        else:
            self._last_warning = ""

    async def _get_and_claim(self) -> bool:
        """One try; False on a conflict, after which the Lease is to be read again."""
        if self._get_first:
            await self._get_lease()
        lease = self._lease
        if lease is not None and not self._is_free(lease) and not await self._is_orphaned(lease):
            return True
        began = self._clock()
        self._has_claimed = True
        try:
            claimed = await self._in_time(self._create() if lease is None else self._claim(lease))
        except (errors.Conflict, errors.AlreadyExists, errors.NotFound):
            self._get_first = True
            return False
        self._observe(claimed)
        self._lead_from(began)
        return True

    async def _get_lease(self) -> None:
        try:
            lease = await self._in_time(
                self._store.get(LEASES, self._terms.namespace, self._terms.name, LeaseView)
            )
        except errors.NotFound:
            self._lease = None
            return
        self._observe(lease)

    def _observe(self, lease: LeaseView) -> None:
        """Keep the Lease that the API server returned, and when it last changed."""
        seen, holder = self._lease, lease.spec.holder_identity
        # The time after the response: the change was earlier, so we wait too long rather than too short.
        if seen is None or seen.metadata.uid != lease.metadata.uid or seen.spec != lease.spec:
            self._changed_at = self._clock()
        if seen is not None and holder and holder != seen.spec.holder_identity:
            self.leader_changes += 1
        self._lease = lease
        # Only we change a Lease that we hold: it can be renewed without reading it first.
        self._get_first = holder != self.identity
        if self._get_first:
            self._stop_leading(f"the Lease is held by {holder or 'nobody'}")

    def _is_free(self, lease: LeaseView) -> bool:
        holder = lease.spec.holder_identity
        return not holder or holder == self.identity or self._clock() >= self._expires(lease)

    async def _is_orphaned(self, lease: LeaseView) -> bool:
        """Whether the holder is known to be dead, so that its Lease need not expire first."""
        holder = written_by(lease)
        if holder is None:
            return False
        why = await self._in_time(self._witness.why_dead(holder))
        if why:
            log.info("the leader (%s) is dead: %s; taking its Lease", holder.identity, why)
        return bool(why)

    def _expires(self, lease: LeaseView) -> float:
        return self._changed_at + (lease.spec.lease_duration_seconds or self._terms.lease_duration)

    def _delay(self, began: float) -> float:
        """Seconds until the next try."""
        now = self._clock()
        if self._leading:
            return max(0.0, began + self._terms.retry_period - now)
        # Jittered, so that replicas started together do not send requests together.
        pause = self._terms.retry_period * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - hides nothing
        seen = self._lease
        if seen is not None and now < self._expires(seen):
            # Not less than a moment: the clock may be just short of it, and has to advance.
            pause = min(pause, max(_MOMENT, self._expires(seen) - now))
        return pause

    # --- leading -----------------------------------------------------------------------------------

    def _lead_from(self, began: float) -> None:
        """Lead until `renew_deadline` after the start of a request that has succeeded."""
        self._deadline = began + self._terms.renew_deadline
        left = self._deadline - self._clock()
        if left <= 0:
            return
        self._set_watchdog(left)
        if not self._leading:
            self._leading = True
            log.info("this process (%s) leads", self.identity)
            self._on_started()

    def _set_watchdog(self, seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = asyncio.get_running_loop().call_later(seconds, self._on_deadline)

    def _on_deadline(self) -> None:
        """Stop leading at the deadline, even while a request hangs."""
        left = self._deadline - self._clock()
        if left > 0:
            self._set_watchdog(left)
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
        """Release the Lease if we hold it, so that nobody has to wait until it expires."""
        if not self._has_claimed:
            return
        try:
            for _ in range(_TRIES):
                # A claim may have been under way when we were cancelled: only the API server knows.
                await self._get_lease()
                lease = self._lease
                if lease is None or lease.spec.holder_identity != self.identity:
                    return
                try:
                    spec = {"holderIdentity": None, "renewTime": _now()}
                    await self._in_time(self._write(lease, spec, {"annotations": {ANNOTATION_HOLDER: None}}))
                    return
                except errors.Conflict:
                    continue
        except errors.ApiError as error:
            log.warning("the Lease was not released and has to expire: %s", error)

    # --- requests ----------------------------------------------------------------------------------

    def _create(self) -> Coroutine[Any, Any, LeaseView]:
        metadata = {"name": self._terms.name, "namespace": self._terms.namespace, **self._holder_metadata()}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
        return self._store.create(
            LEASES,
            self._terms.namespace,
            {**body, "spec": {**self._lease_spec(acquired=True), "leaseTransitions": 0}},
            LeaseView,
        )

    def _claim(self, lease: LeaseView) -> Coroutine[Any, Any, LeaseView]:
        acquired = lease.spec.holder_identity != self.identity
        transitions = lease.spec.lease_transitions + (1 if acquired else 0)
        spec = {**self._lease_spec(acquired=acquired), "leaseTransitions": transitions}
        return self._write(lease, spec, self._holder_metadata())

    def _holder_metadata(self) -> dict[str, Any]:
        return {"annotations": {ANNOTATION_HOLDER: self._description}}

    def _lease_spec(self, *, acquired: bool) -> dict[str, Any]:
        """The spec of a Lease that we hold."""
        now = _now()
        if acquired:
            self._acquired = now
        return {
            "holderIdentity": self.identity,
            # Whole seconds, rounded up: others must not see it expire before we do.
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

    def _warn_once(self, warning: str) -> None:
        # Once, not at every retry, unless the problem changes.
        level = logging.DEBUG if warning == self._last_warning else logging.WARNING
        log.log(
            level,
            "the Lease %s/%s cannot be read or written: %s",
            self._terms.namespace,
            self._terms.name,
            warning,
        )
        self._last_warning = warning


def _now() -> str:
    return to_wire_micro(utcnow())
