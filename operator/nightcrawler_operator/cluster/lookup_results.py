"""What was looked up for one execution besides the caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.masking import Mask
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.snapshot import ObservedEvents, Refusal, Unwatched

_MASK_KEPT: Final = timedelta(seconds=60)
"""How long the values of Secrets are used before they are read again."""
_NONE_SET: Final[Mapping[str, datetime]] = MappingProxyType({})


@dataclass(slots=True)
class LookupResults:
    """What was looked up for one execution besides the caches; kept while the execution is live.

    Thousands exist and most stay empty, so fields start empty or shared: an empty set would be larger
    than all the rest.
    """

    events: dict[str, ObservedEvents] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    refusals: dict[str, Refusal] = field(default_factory=dict)
    obstacle: Refusal | None = None
    obstacle_recorded: str = ""
    room_made: datetime | None = None
    deadlines_set: Mapping[str, datetime] = field(default_factory=lambda: _NONE_SET)
    looked_up: Mapping[str, datetime] = field(default_factory=lambda: _NONE_SET)
    fresh: bool = False
    fresh_environments: bool = False
    fresh_profiles: bool = False
    status_deferred: bool = False
    mask: Mask | None = None
    masked_at: datetime | None = None
    completed: Mapping[str, StepStatusView] = field(default_factory=dict)
    unwatched: dict[tuple[str, int], Unwatched] = field(default_factory=dict)

    def clear_obstacle(self) -> None:
        """Forget what kept Jobs from being created: the writes that precede them have succeeded."""
        self.obstacle, self.obstacle_recorded = None, ""

    def note_room(self, now: datetime, ask_again: datetime) -> None:
        """Note that finished Jobs were deleted to free quota, and retry refused Jobs soon."""
        self.room_made = now
        self.refusals = {
            child: replace(why, ask_again=ask_again, tries=0) if why.reason == conditions.STEP_QUOTA else why
            for child, why in self.refusals.items()
        }

    def note_secrets(self, mask: Mask, now: datetime) -> None:
        """Note that Secrets were read; values that they had before are still hidden."""
        self.mask, self.masked_at = (mask if self.mask is None else mask | self.mask), now

    def mask_at(self, now: datetime) -> Mask | None:
        """What hides the values of Secrets; None if they are to be read (again)."""
        fresh = self.masked_at is not None and now < self.masked_at + _MASK_KEPT
        return self.mask if fresh else None

    def note_look_up(self, name: str, now: datetime) -> None:
        """Note that a Job and its Pods, or a revision, were read from the API server."""
        self.looked_up = {**self.looked_up, name: now}

    def note_deadline(self, pod_uid: str, now: datetime) -> None:
        """Note that a Pod's deadline was sent, whether the API server accepted it or not."""
        self.deadlines_set = {**self.deadlines_set, pod_uid: now}
