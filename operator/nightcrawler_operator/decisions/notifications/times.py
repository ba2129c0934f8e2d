"""The messages about scheduled times that did not run: `status.notifications` of a Workflow. Pure.

Times that come together share a message: there is one a channel, about the times after `after`, up
to `time`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.scheduleviews import OutcomeView
from nightcrawler_operator.decisions.notifications.facts import is_reported
from nightcrawler_operator.decisions.notifications.outbox import PENDING, SKIP, NoticeName, Notices


def with_unrun_times(recorded: Notices, news: Sequence[OutcomeView], channels: Sequence[str]) -> Notices:
    """What to note in the write that records these outcomes."""
    times = [entry.time for entry in news if is_reported(entry)]
    if not times:
        return recorded
    keys = [NoticeName(SKIP, channel).key for channel in channels]
    return {**recorded, **{key: _message_about(recorded.get(key), times) for key in keys}}


def _message_about(before: NoticeView | None, times: Sequence[datetime]) -> NoticeView:
    until = max(times)
    if before is None or before.time is None:
        return NoticeView(PENDING, time=until, after=min(times) - timedelta(seconds=1))
    if before.state == PENDING:
        return msgspec.structs.replace(before, time=max(until, before.time))
    # What could not be delivered is not sent again, as little as what was.
    return NoticeView(PENDING, time=max(until, before.time), after=before.time, sent_at=before.sent_at)
