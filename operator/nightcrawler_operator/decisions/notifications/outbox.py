"""The messages about a run that are to be sent, and what became of them: `status.notifications`. Pure.

A message is noted as Pending in the write that records what it is about, so that none is lost, whoever dies.
It is sent by `effects.notifications`, which remembers the result until a reconciler has recorded it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.views import ExecutionStatusView, OwingStatusView
from nightcrawler_crds.planning.resolved import run_timeout
from nightcrawler_crds.validation import WantedNotices
from nightcrawler_crds.words import format_duration_words
from nightcrawler_operator.snapshot import OwingSnapshot, Snapshot

Notices = Mapping[str, NoticeView]

PENDING: Final = "Pending"
SENT: Final = "Sent"
FAILED: Final = "Failed"
RETRY: Final = "retry"
SKIP: Final = "skip"
LATE_AT: Final = 0.8
"""The part of its timeout after which a run is late."""
MAX_ERROR: Final = 512
"""Characters that the schema allows in lastError."""
_MOST_RETRIES: Final = 20
"""Messages about retries of one run by one channel; the rest would tell nobody anything new."""
_ENDS: Final = {"Completed": "complete", "Failed": "fail", "Cancelled": "cancel"}


class NoticeName(NamedTuple):
    """What a key in `status.notifications` says: the event, the channel, and of a retry step and attempt."""

    event: str
    channel: str
    step: str = ""
    attempt: int = 0

    @property
    def key(self) -> str:
        """As in the status. A step's name may have slashes; the attempt comes after the last one."""
        parts = (self.event, self.channel, *((self.step, str(self.attempt)) if self.step else ()))
        return "/".join(parts)


def parse_name(key: str) -> NoticeName | None:
    """The parts of a key; None if it is not one."""
    event, _, rest = key.partition("/")
    channel, _, about = rest.partition("/")
    if not about:
        return NoticeName(event, channel) if channel else None
    step, _, attempt = about.rpartition("/")
    return NoticeName(event, channel, step, int(attempt)) if attempt.isdecimal() and step else None


def channels(wanted: WantedNotices, targets: frozenset[str] | None) -> list[str]:
    """The channels that are used; those that are not named only if there may be a target for them."""
    there = wanted.others if targets is None else wanted.others & targets
    return sorted(wanted.channels | there)


def with_notices(snapshot: Snapshot, status: ExecutionStatusView) -> ExecutionStatusView:
    """A status with the messages that it gives occasion for, and with what has become of earlier ones."""
    recorded = status.notifications or {}
    known = merged(recorded, snapshot.deliveries)
    revision = snapshot.revision
    if revision is not None and revision.notices:
        new = _new_messages(snapshot, status, revision.notices, known)
        known = {**known, **{key: NoticeView(PENDING, time=time) for key, time in new}}
    return status if known == recorded else msgspec.structs.replace(status, notifications=dict(known))


def merged(recorded: Notices, deliveries: Notices) -> Notices:
    """What is recorded, with the results of messages that were pending."""
    if not deliveries:
        return recorded
    news = {
        key: _with_result(before, result)
        for key, result in deliveries.items()
        if (before := recorded.get(key)) is not None and before.state == PENDING
    }
    return {**recorded, **news} if news else recorded


def _with_result(before: NoticeView, result: NoticeView) -> NoticeView:
    if before.time == result.time:
        return msgspec.structs.replace(result, after=before.after)
    if is_earlier_part(before, result):
        # Further times did not run while it was on its way: the next message tells of those only.
        return msgspec.structs.replace(before, after=result.time, sent_at=result.sent_at)
    return before


def is_earlier_part(notice: NoticeView, result: NoticeView) -> bool:
    """Whether an earlier message has reported the first of what this one is about."""
    if result.state != SENT or result.time is None or notice.time is None or result.time >= notice.time:
        return False
    return notice.after is None or notice.after < result.time


def any_pending(notices: Notices | None) -> bool:
    """Whether any message is still to be sent."""
    return any(notice.state == PENDING for notice in (notices or {}).values())


def late_at(snapshot: Snapshot, started: datetime | None) -> datetime | None:
    """When a run that has started is late, if somebody wants to know."""
    revision = snapshot.revision
    if started is None or revision is None or not revision.notices or "late" not in revision.notices.events:
        return None
    return started + timedelta(seconds=LATE_AT * run_timeout(revision.spec, snapshot.limits))


def _new_messages(
    snapshot: Snapshot, status: ExecutionStatusView, wanted: WantedNotices, known: Notices
) -> Iterator[tuple[str, datetime]]:
    """The keys of messages that are new, each with when what it is about happened."""
    happened = dict(_happened(snapshot, status, wanted))
    if not happened:
        return
    for channel in channels(wanted, snapshot.targets):
        prefix = f"{RETRY}/{channel}/"
        retries = sum(key.startswith(prefix) for key in known)
        for (event, step, attempt), time in happened.items():
            key = NoticeName(event, channel, step, attempt).key
            if key in known:
                continue
            if event == RETRY:
                retries += 1
                if retries > _MOST_RETRIES:
                    continue
            yield key, time


def _happened(
    snapshot: Snapshot, status: ExecutionStatusView, wanted: WantedNotices
) -> Iterator[tuple[tuple[str, str, int], datetime]]:
    """What has happened of what is to be reported: event, step and attempt, and when."""
    events, now = wanted.events, snapshot.now
    if "start" in events and status.start_time is not None:
        yield ("start", "", 0), status.start_time
    if RETRY in events:
        for name, step in status.steps.items():
            if step.phase == "Retrying":
                yield (RETRY, name, step.attempt), step.completion_time or now
    end = _ENDS.get(status.phase)
    if end in events:
        assert end is not None
        yield (end, "", 0), status.completion_time or now
    if end is None and (late := late_at(snapshot, status.start_time)) is not None and late <= now:
        yield ("late", "", 0), late


# --- after the end -----------------------------------------------------------------------------------


def is_owed(_: Snapshot, ended: ExecutionStatusView) -> bool:
    """Whether a run that has ended has messages that are not sent."""
    return any_pending(ended.notifications)


def is_done(snapshot: OwingSnapshot) -> bool:
    """Whether none of its messages is to be sent any more."""
    return not any_pending(_of(snapshot.execution.status, snapshot.deliveries))


def with_results(snapshot: OwingSnapshot, status: OwingStatusView, *, given_up: bool) -> OwingStatusView:
    """The status with what has become of its messages; those that are given up have failed."""
    known = _of(status, snapshot.deliveries)
    if given_up:
        why = f"not sent within {format_duration_words(snapshot.limits.duty_timeout)} of the end of the run"
        known = {
            key: _failed(notice, why) if notice.state == PENDING else notice for key, notice in known.items()
        }
    recorded = status.notifications or {}
    return status if known == recorded else msgspec.structs.replace(status, notifications=dict(known))


def _of(status: OwingStatusView, deliveries: Notices) -> Notices:
    return merged(status.notifications or {}, deliveries)


def _failed(notice: NoticeView, why: str) -> NoticeView:
    text = f"{why}; {notice.last_error}" if notice.last_error else why
    return msgspec.structs.replace(notice, state=FAILED, last_error=text[:MAX_ERROR])
