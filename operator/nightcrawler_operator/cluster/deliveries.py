"""What has become of messages, remembered until a status says so.

It survives a loss of the Lease: an API server that is away takes the Lease with it, and what was sent before
must not be sent again when it is back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_operator.decisions.notifications.outbox import PENDING, is_earlier_part

_MOST: Final = 5_000
"""Executions and workflows of which something is remembered. Beyond that the oldest are forgotten."""
_NONE: Final[Mapping[str, NoticeView]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message, and when to try again if it is to be."""

    notice: NoticeView
    again: datetime | None = None


class Deliveries:
    """By the UID of the execution or workflow, and the message's key in its status."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, dict[str, Delivery]] = OrderedDict()

    def __len__(self) -> int:
        """How many executions and workflows something is remembered of."""
        return len(self._known)

    def note(self, uid: str, key: str, delivery: Delivery) -> None:
        """Remember what became of a message."""
        self._known.setdefault(uid, {})[key] = delivery
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def get(self, uid: str, key: str) -> Delivery | None:
        """What is remembered of a message."""
        return self._known.get(uid, {}).get(key)

    def of(self, uid: str) -> Mapping[str, NoticeView]:
        """What is to be recorded of an execution's or a workflow's messages."""
        known = self._known.get(uid)
        return {key: one.notice for key, one in known.items()} if known else _NONE

    def observed(self, uid: str, recorded: Mapping[str, NoticeView] | None) -> None:
        """Forget what a status says now; when a failed message is tried again stays known."""
        known = self._known.get(uid)
        if not known:
            return
        for key, one in list(known.items()):
            notice = (recorded or {}).get(key)
            if notice is None or notice.state != PENDING or not _is_about(notice, one.notice):
                del known[key]
        if not known:
            del self._known[uid]

    def forget(self, uid: str) -> None:
        """Forget an execution or a workflow that is gone, or that owes nothing any more."""
        self._known.pop(uid, None)


def _is_about(notice: NoticeView, result: NoticeView) -> bool:
    return notice.time == result.time or is_earlier_part(notice, result)
