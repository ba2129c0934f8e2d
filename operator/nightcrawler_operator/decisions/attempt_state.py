"""The state of one attempt of a step: it waits, runs, has succeeded or failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from nightcrawler_operator.plan import Deadline, Lookup, OldObject


class Blame(Enum):
    """What caused a failure; this decides whether and when there is another attempt."""

    PROGRAM = "program"
    """Uses up one of the step's retries."""
    INFRASTRUCTURE = "infrastructure"
    """Uses up no retry; tried again with back-off, a bounded number of times."""
    DEFINITION = "definition"
    """Trying again cannot help: the step's definition is wrong."""


@dataclass(frozen=True, slots=True)
class Waits:
    """It has not started. Recorded from `show_at` on; `look_at` is when to decide again.

    `missing_pod` is its Job, if the operator has to create the Pod.
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
    """Its container has started. `reason` and `message` are set if there is a problem.

    `deadline` is set if the Pod does not have it yet.
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
    """Its container ended by itself with exit code 0."""

    started: datetime | None
    finished: datetime
    exit_code: int | None = 0
    lookups: tuple[Lookup, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended in any other way. `preempted`: the scheduler ended it for a Pod of higher priority."""

    blame: Blame
    reason: str
    message: str
    finished: datetime
    started: datetime | None = None
    exit_code: int | None = None
    lookups: tuple[Lookup, ...] = field(default=())
    preempted: bool = False


AttemptState = Waits | Runs | Succeeded | Failed
