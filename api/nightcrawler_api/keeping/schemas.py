"""Responses about archive and kept logs."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class ArchiveHealth(TypedDict):
    """The archive: `detail` says what keeps it from being written; the rest is of the replica that writes."""

    usable: bool
    detail: NotRequired[str]
    waiting: NotRequired[int]
    behindSeconds: NotRequired[float]


class LogHealth(TypedDict):
    """Kept logs: `detail` says what keeps them from being kept."""

    usable: bool
    detail: NotRequired[str]


class KeptHealth(TypedDict):
    """Archive and kept logs, if there are."""

    archive: NotRequired[ArchiveHealth]
    keptLogs: NotRequired[LogHealth]
