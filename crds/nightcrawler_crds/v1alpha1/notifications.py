"""Notifications: the events and channels there are, and what became of each message."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from nightcrawler_crds.v1alpha1.base import TIME, ApiModel

NoticeEvent = Literal["start", "complete", "fail", "cancel", "skip", "retry", "late"]
Channel = Literal["email", "slack", "webhook"]

NOTICE_EVENTS: Final[tuple[str, ...]] = get_args(NoticeEvent)
CHANNELS: Final[tuple[str, ...]] = get_args(Channel)
DEFAULT_EVENTS: Final = ("fail",)
"""What is notified if notificationEvents is not set."""
MAX_NOTICES: Final = 128


class NoticeStatus(ApiModel):
    """What became of the message about one event by one channel."""

    state: Literal["Pending", "Sent", "Failed"] = Field(
        description="Pending: it is to be sent, and tried again if that fails. Sent: the receiver took it. "
        "Failed: it is not tried again."
    )
    time: str | None = Field(default=None, description="When the event happened.", json_schema_extra=TIME)
    after: str | None = Field(
        default=None,
        description="Scheduled times up to this one were in earlier messages (skip).",
        json_schema_extra=TIME,
    )
    attempts: int | None = Field(default=None, description="How often it was tried.")
    last_error: str | None = Field(
        default=None, max_length=512, description="Why the last attempt failed, in a sentence."
    )
    sent_at: str | None = Field(
        default=None, description="When the receiver took it.", json_schema_extra=TIME
    )


Notices = Annotated[dict[str, NoticeStatus], Field(max_length=MAX_NOTICES)]
"""By `<event>/<channel>`; of a retry `retry/<channel>/<step>/<attempt>`, the attempt that failed."""
