"""Which ended executions of a workflow go, when they are worth counting, and which revisions nobody needs.

Nothing is deleted but on a list that was made for it: others delete runs too, and an account of
one's own would take those for kept and let newer ones go. What an account is good for is to say
when a list is due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from nightcrawler_crds.kube.views import RevisionView
from nightcrawler_crds.v1alpha1 import TERMINAL_PHASES
from nightcrawler_operator.decisions.ownership import is_owned_by

EXACT: Final = 100
"""A history of at most so many is kept to the number, and listed whenever a run has ended."""
SHARE: Final = 20
"""A longer one is listed once for every so many-th part of it that has ended, and exceeded by that much."""


class KeptRuns(Enum):
    """The two histories of a workflow; cancelled runs count with the failed ones. The value is in the API."""

    COMPLETED = "completed"
    OTHERS = "failed"

    @staticmethod
    def of(phase: str | None) -> KeptRuns | None:
        """Where a run of this phase is counted; None for one that has not ended."""
        if phase not in TERMINAL_PHASES:
            return None
        return KeptRuns.COMPLETED if phase == "Completed" else KeptRuns.OTHERS


class OwnerUid(msgspec.Struct, frozen=True, gc=False):
    """Whose it is."""

    uid: str = ""


class EndedMeta(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What tells ended runs apart, and which is older."""

    name: str = ""
    uid: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    owner_references: tuple[OwnerUid, ...] = ()


class EndedStatus(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """How it ended, and what content it had used."""

    phase: str | None = None
    revision: str | None = None


class EndedRun(msgspec.Struct, frozen=True, gc=False):
    """An execution as far as history goes; there may be ten thousand in a list."""

    metadata: EndedMeta
    status: EndedStatus = EndedStatus()


@dataclass(slots=True)
class Count:
    """How many are on a shelf: those kept when it was last listed, and those that have ended since.

    What others delete makes it too high, and the next list is early.
    """

    listed: int
    since: int = 0


def is_due(count: Count | None, keep: int) -> bool:
    """Whether a shelf on which `keep` may stay has to be listed. None is one that has not been yet."""
    if count is None:
        return True
    if keep <= EXACT and count.since:
        return True
    return count.listed + count.since > keep + (keep // SHARE if keep > EXACT else 0)


def is_worth_it(gain: int, cost: int) -> bool:
    """Whether to list so many runs on top, to find that so many revisions may not be needed any more."""
    return cost <= max(EXACT, gain * SHARE)


def sorted_out(
    runs: Iterable[EndedRun], shelf: KeptRuns, keep: int, workflow_uid: str
) -> tuple[list[EndedRun], list[EndedRun]]:
    """Of a workflow's runs on a shelf, those that stay and, beyond `keep`, those that go: the oldest.

    Runs that only have its label are not its own, and are neither counted nor deleted.
    """
    there = [
        run
        for run in runs
        if KeptRuns.of(run.status.phase) is shelf
        and run.metadata.deletion_timestamp is None
        and any(owner.uid == workflow_uid for owner in run.metadata.owner_references)
    ]
    there.sort(key=lambda run: (run.metadata.creation_timestamp, run.metadata.name), reverse=True)
    return there[:keep], there[keep:]


def unneeded_revisions(
    revisions: Iterable[RevisionView], needed: Collection[str], workflow_uid: str
) -> Sequence[RevisionView]:
    """The revisions of a workflow that no execution and no Job names, and no next run will."""
    own = [r for r in revisions if is_owned_by(r.metadata, workflow_uid)]
    return [r for r in own if r.metadata.name not in needed]
