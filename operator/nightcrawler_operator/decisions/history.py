"""Which ended executions of a workflow go, and which revisions nobody needs any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nightcrawler_crds.v1alpha1 import TERMINAL_PHASES
from nightcrawler_crds.views import ExecutionView, RevisionView


def too_many(
    executions: Iterable[ExecutionView], keep_completed: int, keep_failed: int
) -> list[ExecutionView]:
    """The ended executions beyond what is kept, the oldest; cancelled ones count with the failed."""
    completed: list[ExecutionView] = []
    others: list[ExecutionView] = []
    for execution in executions:
        if execution.status.phase in TERMINAL_PHASES and execution.metadata.deletion_timestamp is None:
            (completed if execution.status.phase == "Completed" else others).append(execution)
    return [*_beyond(completed, keep_completed), *_beyond(others, keep_failed)]


def unneeded_revisions(
    revisions: Iterable[RevisionView], needed: Collection[str], current: str | None
) -> Sequence[RevisionView]:
    """The revisions that no execution and no Job names; the current one stays for the next run."""
    return [r for r in revisions if r.metadata.name not in needed and r.metadata.name != current]


def _beyond(executions: list[ExecutionView], keep: int) -> list[ExecutionView]:
    newest_first = sorted(
        executions, key=lambda e: (str(e.metadata.creation_timestamp), e.metadata.name), reverse=True
    )
    return newest_first[keep:]
