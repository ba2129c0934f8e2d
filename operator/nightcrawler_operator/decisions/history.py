"""Which ended executions of a workflow are deleted, when to list them, and which revisions are unused.

Only a fresh list decides what is deleted: others delete runs, too, and a count of our own would keep those
and delete newer ones. The count only decides when a list is due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.phases import has_ended
from nightcrawler_operator.decisions.ownership import is_owned_by

EXACT: Final = 100
"""A history of at most so many is kept exactly, and listed whenever a run has ended."""
SHARE: Final = 20
"""A longer one is listed once 1/20 of it has ended since, and may be exceeded by that much."""


class KeptRuns(Enum):
    """The two histories of a workflow; cancelled runs count as failed. The value is used in the API."""

    COMPLETED = "completed"
    OTHERS = "failed"

    @staticmethod
    def of(phase: str | None) -> KeptRuns | None:
        """The history of a run in this phase; None for one that has not ended."""
        if not has_ended(phase):
            return None
        return KeptRuns.COMPLETED if phase == "Completed" else KeptRuns.OTHERS


class OwnerUid(msgspec.Struct, frozen=True, gc=False):
    """An ownerReference, reduced to its UID."""

    uid: str = ""


class EndedMeta(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Metadata by which ended runs are sorted and deleted."""

    name: str = ""
    uid: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    owner_references: tuple[OwnerUid, ...] = ()


class EndedStatus(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """How it ended, the revision that it used, and whether it still owes something (false)."""

    phase: str | None = None
    revision: str | None = None
    settled: bool | None = None


class EndedRun(msgspec.Struct, frozen=True, gc=False):
    """An execution, reduced to what history needs; a list may have ten thousand."""

    metadata: EndedMeta
    status: EndedStatus = EndedStatus()


@dataclass(slots=True)
class Count:
    """How many runs a history has: those kept when it was last listed, and those that have ended since.

    If others delete runs it is too high, and the next list is early.
    """

    listed: int
    since: int = 0


def is_due(count: Count | None, keep: int) -> bool:
    """Whether a history of which `keep` are kept has to be listed; None if it never was."""
    if count is None:
        return True
    if keep <= EXACT and count.since:
        return True
    return count.listed + count.since > keep + (keep // SHARE if keep > EXACT else 0)


def is_worth_it(gain: int, cost: int) -> bool:
    """Whether listing `cost` runs is worth finding out that `gain` revisions are unused."""
    return cost <= max(EXACT, gain * SHARE)


def sorted_out(
    runs: Iterable[EndedRun], history: KeptRuns, keep: int, workflow_uid: str
) -> tuple[list[EndedRun], list[EndedRun]]:
    """The runs of a history that are kept, and the oldest beyond `keep`, which are deleted.

    One that still owes something is kept, however old it is. Runs that have the workflow's label and another
    owner are neither counted nor deleted.
    """
    there = [
        run
        for run in runs
        if KeptRuns.of(run.status.phase) is history
        and run.metadata.deletion_timestamp is None
        and any(owner.uid == workflow_uid for owner in run.metadata.owner_references)
    ]
    there.sort(key=lambda run: (run.metadata.creation_timestamp, run.metadata.name), reverse=True)
    beyond = there[keep:]
    owing = [run for run in beyond if run.status.settled is False]
    return there[:keep] + owing, [run for run in beyond if run.status.settled is not False]


def unneeded_revisions(
    revisions: Iterable[RevisionView], needed: Collection[str], workflow_uid: str
) -> Sequence[RevisionView]:
    """The revisions of a workflow that are not among those in use."""
    own = [r for r in revisions if is_owned_by(r.metadata, workflow_uid)]
    return [r for r in own if r.metadata.name not in needed]
