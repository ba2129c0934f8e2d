"""Which phases of an execution are live, and which have ended: the one place that says so.

An execution that has ended may still owe something, such as the entry in its workflow's schedule: see
`status.settled`. It is not live, and has a field selector of its own.
"""

from __future__ import annotations

from typing import Final

TERMINAL_PHASES: Final[frozenset[str]] = frozenset({"Completed", "Failed", "Cancelled"})
"""Phases that never change again."""

LIVE_SELECTOR: Final = "status.phase!=Completed,status.phase!=Failed,status.phase!=Cancelled"
"""Field selector of the executions that have not ended; a new one has no phase yet."""
ENDED_SELECTOR: Final = "status.phase!=,status.phase!=Pending,status.phase!=Running,status.phase!=Cancelling"
"""Field selector of the executions that have ended."""
OWING_SELECTOR: Final = "status.settled=false"
"""Field selector of the executions that have ended and still owe something."""


def has_ended(phase: str | None) -> bool:
    """Whether an execution in this phase has ended; otherwise it is live."""
    return phase in TERMINAL_PHASES
