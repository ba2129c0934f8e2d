"""A Job whose Pod has not started, as the rules of waiting look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.building.volume import Volume
from nightcrawler_crds.kube.nativeviews import EventView, JobView, PodView, VolumeClaimView
from nightcrawler_operator.decisions.attempt_state import Waits
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import LookForEvents
from nightcrawler_operator.snapshot import ObservedEvents, Refusal

POD_EXPECTED: Final = timedelta(seconds=5)
"""The Job controller creates a Job's Pod at once; after this long, an Event says why it does not."""
_ASK_MOST: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Pending:
    """A Job whose Pod has not started, as the rules look at it."""

    job: JobView
    pod: PodView | None
    now: datetime
    limits: Limits
    events: Mapping[str, ObservedEvents]
    has_run: bool = False
    refusal: Refusal | None = None
    volume: Volume | None = None
    claim: VolumeClaimView | None = None
    claim_absent: bool = False
    """Whether a look-up has shown that the run has a volume and its claim is gone."""

    @property
    def created(self) -> datetime:
        """When the attempt's Job was created."""
        return self.job.metadata.creation_timestamp or self.now

    @property
    def show_at(self) -> datetime:
        """When the wait is long enough to be recorded."""
        return self.created + timedelta(seconds=self.limits.status_window)

    def wait(self, reason: str, message: str, look_at: datetime | None = None) -> Waits:
        """It waits; decide again at the given time, at the latest when the queue timeout is over."""
        over = self.created + timedelta(seconds=self.limits.queue_timeout)
        return Waits(reason, message, self.show_at, min(look_at or over, over))

    def ask_at(self, uid: str, first: datetime) -> datetime:
        """When to look up an object's Events: at `first`, then ever less often, at least once a minute."""
        observed = self.events.get(uid)
        if observed is None:
            return first
        return observed.at + min(max(observed.at - self.created, POD_EXPECTED), _ASK_MOST)

    def ask(self, uid: str, kind: str, ask_at: datetime) -> tuple[LookForEvents, ...]:
        """The look-up, if it is time for it."""
        return (LookForEvents(uid, kind),) if self.now >= ask_at else ()


def newest(p: Pending, uid: str, *reasons: str) -> EventView | None:
    """The newest Event about an object, of any of these reasons if there are some."""
    observed = p.events.get(uid)
    events = observed.events if observed else ()
    of_reason = [event for event in events if event.reason in reasons or not reasons]
    return max(of_reason, key=lambda event: str(event.last_timestamp or event.event_time), default=None)
