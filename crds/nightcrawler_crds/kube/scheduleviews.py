"""Views of what a Workflow's status says of its schedule."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nightcrawler_crds.kube.sharing import share


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


class OutcomeView(_Read, frozen=True):
    """What became of a scheduled time; see `v1alpha1.workflow.ScheduleOutcome`."""

    time: datetime
    outcome: str
    reason: str | None = None
    message: str | None = None
    execution: str | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "outcome", "reason")


class ScheduleStatusView(_Read, frozen=True):
    """The state of a schedule; see `v1alpha1.workflow.ScheduleStatus`."""

    anchor: datetime | None = None
    spec_hash: str | None = None
    last_scheduled_time: datetime | None = None
    next_scheduled_time: datetime | None = None
    last_started: datetime | None = None
    skip_next: bool = False
    message: str | None = None
    recent: tuple[OutcomeView, ...] = ()

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "spec_hash")
