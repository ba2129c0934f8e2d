"""What can be said of one attempt of a step; the words that the rules speak in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from nightcrawler_operator.plan import Deadline, Lookup, OldObject


class Blame(Enum):
    """Who is to blame for a failed attempt; it decides whether and how it is tried again."""

    PROGRAM = "program"
    """Uses up one of the step's retries."""
    INFRASTRUCTURE = "infrastructure"
    """Free, with back-off, a bounded number of times."""
    DEFINITION = "definition"
    """Trying again cannot help: the step is wrong as it is written."""


@dataclass(frozen=True, slots=True)
class Waits:
    """It has not started. Shown once `show_at` has come; `look_at` is when to judge again.

    `missing_pod` is its Job, if the Pod of that is ours to make.
    """

    reason: str
    message: str
    show_at: datetime
    look_at: datetime | None = None
    lookups: tuple[Lookup, ...] = ()
    force_delete: tuple[OldObject, ...] = ()
    missing_pod: OldObject | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """Its container has started. `reason` and `message` are set if something is the matter.

    `deadline` is when its Pod's time is over, if the kubelet has still to be told.
    """

    started: datetime
    reason: str | None = None
    message: str | None = None
    look_at: datetime | None = None
    force_delete: tuple[OldObject, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    deadline: Deadline | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Its container ended with exit code 0, and nobody had ended it."""

    started: datetime | None
    finished: datetime
    exit_code: int | None = 0
    lookups: tuple[Lookup, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended in any other way."""

    blame: Blame
    reason: str
    message: str
    finished: datetime
    started: datetime | None = None
    exit_code: int | None = None
    lookups: tuple[Lookup, ...] = field(default=())


AttemptState = Waits | Runs | Succeeded | Failed
