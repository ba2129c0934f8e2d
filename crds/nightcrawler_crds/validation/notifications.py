"""What a workflow wants notifications about, and what is wrong with that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from nightcrawler_crds.v1alpha1 import (
    CHANNELS,
    DEFAULT_EVENTS,
    NOTICE_EVENTS,
    Notifications,
    Options,
    WorkflowSpec,
    conditions,
)
from nightcrawler_crds.validation.problems import Problem


@dataclass(frozen=True, slots=True)
class WantedNotices:
    """Which messages a workflow wants.

    `channels` are those that it names; `others` are used too where there is a target. `emailTo` are the
    recipients of e-mails that it names.
    """

    channels: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    email_to: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it wants any."""
        return bool(self.channels or self.others)

    @property
    def scheduled_times(self) -> bool:
        """Whether it wants to know of scheduled times that did not run."""
        return bool(self) and not self.events.isdisjoint(("skip", "fail"))


NO_NOTICES: Final = WantedNotices()


def wanted_notices(spec: WorkflowSpec) -> WantedNotices:
    """What a workflow wants notifications about."""
    config = spec.config
    named = config.notifications if config else None
    events = config.notification_events if config else None
    enabled = spec.options.enable_notifications if spec.options else None
    return _wanted(named or Notifications(), events, enabled)


def wanted_by(spec: Mapping[str, Any]) -> WantedNotices:
    """The same of a spec that is not parsed; nothing if those fields cannot be."""
    config, options = spec.get("config") or {}, spec.get("options") or {}
    if not config.get("notifications") and not options.get("enableNotifications"):
        return NO_NOTICES  # of nearly all workflows, without parsing anything
    try:
        named = Notifications.model_validate(config.get("notifications") or {}, extra="ignore")
        enabled = Options.model_validate(options, extra="ignore").enable_notifications
    except ValidationError:
        return NO_NOTICES
    events = config.get("notificationEvents")
    return _wanted(named, events if isinstance(events, list) else None, enabled)


def _wanted(named: Notifications, events: list[str] | None, enabled: bool | None) -> WantedNotices:
    if enabled is False:
        return NO_NOTICES
    ticked = {channel: getattr(named, channel) for channel in CHANNELS}
    return WantedNotices(
        channels=frozenset(channel for channel, on in ticked.items() if on),
        others=frozenset(channel for channel, on in ticked.items() if on is None and enabled),
        events=frozenset(DEFAULT_EVENTS if events is None else events) & frozenset(NOTICE_EVENTS),
        email_to=tuple(named.email_to or ()),
    )


def event_problems(spec: WorkflowSpec) -> Iterator[Problem]:
    """Events that there are not."""
    events = spec.config.notification_events if spec.config else None
    for index, event in enumerate(events or ()):
        if event in NOTICE_EVENTS:
            continue
        near = get_close_matches(event.lower(), NOTICE_EVENTS, n=1, cutoff=0.5)
        hint = f"; is it {near[0]!r} that was meant?" if near else ""
        message = f"there is no event {event!r} to notify of; the events are {', '.join(NOTICE_EVENTS)}{hint}"
        yield Problem(f"/config/notificationEvents/{index}", conditions.INVALID_SPEC, message)


def recipient_problems(spec: WorkflowSpec, domains: Collection[str]) -> Iterator[Problem]:
    """Recipients outside of the domains that the installation allows; none allow all."""
    named = spec.config.notifications if spec.config else None
    for index, address in enumerate((named.email_to if named else None) or ()):
        if not is_allowed(address, domains):
            message = (
                f"{address!r} cannot get e-mails of workflows: this installation sends them to addresses of "
                f"{', '.join(sorted(domains))} only"
            )
            pointer = f"/config/notifications/emailTo/{index}"
            yield Problem(pointer, conditions.REFUSED_RECIPIENTS, message)


def is_allowed(address: str, domains: Collection[str]) -> bool:
    """Whether an address is of one of the domains, in any case; none allow all."""
    return not domains or address.rpartition("@")[2].lower() in {domain.lower() for domain in domains}
