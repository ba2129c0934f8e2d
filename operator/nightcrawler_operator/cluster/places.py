"""The places that runs have under limits, and the runs that wait for some.

Who has places follows from the executions: every live one that is accepted, unless its condition Granted is
False. A run that gets its places records that in its own reconcile; until that is observed, they are kept for
it here. All of that is only of use to the leader.

A new leader gives nothing away before it has listed the executions. A request of the former one may still
arrive after that: then a run says that it has its places and nobody has counted it. Such a run is noted as
late, and waits for places as if that had not been written; the former leader, which received no answer, has
created no Job for it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from nightcrawler_crds.allocation import (
    Allocation,
    LimitOf,
    Queue,
    Rank,
    Subject,
    Subjects,
    allocate,
    limit_of_installation,
    queue_of,
    subjects_of,
    written_limit,
)
from nightcrawler_crds.kube.cache import Cache
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, WorkflowView
from nightcrawler_operator.claims import Claim, Standing, Withdrawn
from nightcrawler_operator.decisions.recorded import is_accepted, is_granted
from nightcrawler_operator.limits import Limits

_LATE: Final = Standing(considered=True, late=True)


class Places:
    """Places and lines. `wake` is called when places may be given away."""

    def __init__(self, limit_of: LimitOf, wake: Callable[[], None]) -> None:
        self._limit_of = limit_of
        self._wake = wake
        self.taken: Counter[Subject] = Counter()
        """How many places of each subject are taken."""
        self.lines: dict[Subjects, list[Claim]] = {}
        """The runs that wait, by what they need; each line in order."""
        self.term = 0
        """Counts the times that this process began to lead."""
        self.is_open = False
        """Whether everything is known that a former leader gave away."""
        self._holders: dict[str, Subjects] = {}
        self._granted: dict[str, Claim] = {}
        self._claims: dict[str, Claim] = {}
        self._queued: set[str] = set()
        self._late: set[str] = set()
        self._new: dict[str, Claim] = {}
        self._asked: dict[str, tuple[Claim, datetime]] = {}

    def __len__(self) -> int:
        """How many wait for places."""
        return len(self._claims)

    @property
    def missing(self) -> int:
        """How many are recorded as waiting and have not claimed since this process leads."""
        return len(self._queued.difference(self._claims, self._granted))

    def oldest(self) -> datetime | None:
        """When the oldest run that waits was created."""
        return min((claim.rank.created for claim in self._claims.values()), default=None)

    def begin_term(self, executions: Iterable[ExecutionView]) -> None:
        """Forget all claims, because this process begins to lead, or has stopped."""
        self.term += 1
        self.is_open = False
        for known in (self.taken, self.lines, self._holders, self._granted, self._claims):
            known.clear()
        for noted in (self._queued, self._late, self._new, self._asked):
            noted.clear()
        for execution in executions:
            self.execution_changed(None, execution)

    def open(self) -> None:
        """Give places away from now on: the executions have been listed since this process leads."""
        self.is_open = True

    # --- what is observed --------------------------------------------------------------------------

    def execution_changed(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        """Note who has places by what the executions say."""
        if old is not None and (new is None or old.metadata.uid != new.metadata.uid):
            self._gone(old.metadata.uid)
        if new is None:
            return
        uid, status = new.metadata.uid, new.status
        granted = is_granted(status)
        if status.has_ended:
            self._gone(uid)
        elif granted is False:
            self._queued.add(uid)
            self._late.discard(uid)
            if uid not in self._granted:
                self._release(uid)
        elif is_accepted(status):
            self._queued.discard(uid)
            if granted and self.is_open and uid not in self._holders:
                self._late.add(uid)
            elif uid not in self._late:
                self._leave_line(uid)
                self._granted.pop(uid, None)
                self._hold(uid, self._subjects(new))

    def limits_changed(self) -> None:
        """Look at the lines again, because a limit may have changed."""
        if self._claims:
            self._wake()

    # --- what runs claim ---------------------------------------------------------------------------

    def claim(self, uid: str, claim: Claim | Withdrawn) -> None:
        """Note what a run waits for; it is in line from now on, or no longer."""
        granted = self._granted.get(uid)
        if granted is not None:
            if isinstance(claim, Claim) and claim.subjects == granted.subjects:
                return
            del self._granted[uid]
            self._release(uid)
        known = self._claims.get(uid)
        if isinstance(claim, Claim) and known is not None and _is_alike(known, claim):
            line = self.lines[known.subjects]
            line[bisect_left(line, claim.rank, key=_rank)] = self._claims[uid] = claim
            return
        self._leave_line(uid)
        if isinstance(claim, Claim):
            self._claims[uid] = self._new[uid] = claim
            insort(self.lines.setdefault(claim.subjects, []), claim, key=_rank)
        self._wake()

    def standing(self, uid: str) -> Standing | None:
        """What a run waits for; None if it has not claimed anything."""
        granted, late = self._granted.get(uid), uid in self._late
        if granted is not None:
            return Standing(granted=True, considered=True, place=granted.place, late=late)
        claim = self._claims.get(uid)
        if claim is None:
            return _LATE if late else None
        considered = uid not in self._new
        queue = self._queue(claim) if considered else None
        return Standing(considered=considered, place=claim.place, queue=queue, late=late)

    def is_behind(self, uid: str, rank: Rank) -> bool:
        """Whether a run waits in a line, and would get its places after one of that rank."""
        claim = self._claims.get(uid)
        return claim is not None and claim.rank > rank

    # --- the allocator -----------------------------------------------------------------------------

    def allocate(self) -> Allocation[Claim]:
        """Who gets the places that are free."""
        known: dict[Subject, int | None] = {}

        def limit_of(subject: Subject) -> int | None:
            if subject not in known:
                known[subject] = self._limit_of(subject)
            return known[subject]

        return allocate(self.lines, self.taken, limit_of)

    def grant(self, claim: Claim) -> None:
        """Keep the places of a run for it."""
        self._leave_line(claim.uid)
        self._granted[claim.uid] = claim
        self._hold(claim.uid, claim.subjects)

    def consider(self) -> list[Claim]:
        """Note that all claims have been looked at; returns those that are new."""
        new = list(self._new.values())
        self._new.clear()
        return new

    def asked_to_renew(self, claim: Claim, now: datetime) -> datetime:
        """Since when a run has been asked to make this claim again; now, if it has not."""
        known, since = self._asked.get(claim.uid, (None, now))
        if known is not claim:
            since = now
            self._asked[claim.uid] = (claim, now)
        return since

    # --- pieces ------------------------------------------------------------------------------------

    def _queue(self, claim: Claim) -> Queue | None:
        return queue_of(claim.subjects, claim.rank, self.lines, self.taken, self._limit_of)

    @staticmethod
    def _subjects(execution: ExecutionView) -> Subjects:
        meta = execution.metadata
        return subjects_of(meta.namespace, execution.spec.workflow_ref.name, execution.status.environment)

    def _hold(self, uid: str, subjects: Subjects) -> None:
        if self._holders.get(uid) != subjects:
            self._release(uid)
            self._holders[uid] = subjects
            self.taken.update(subjects)

    def _release(self, uid: str) -> None:
        subjects = self._holders.pop(uid, ())
        for subject in subjects:
            self.taken[subject] -= 1
            if not self.taken[subject]:
                del self.taken[subject]
        if subjects and self._claims:
            self._wake()

    def _leave_line(self, uid: str) -> None:
        claim = self._claims.pop(uid, None)
        self._new.pop(uid, None)
        self._asked.pop(uid, None)
        if claim is None:
            return
        line = self.lines[claim.subjects]
        del line[bisect_left(line, claim.rank, key=_rank)]
        if not line:
            del self.lines[claim.subjects]

    def _gone(self, uid: str) -> None:
        self._leave_line(uid)
        self._granted.pop(uid, None)
        self._queued.discard(uid)
        self._late.discard(uid)
        self._release(uid)


def _rank(claim: Claim) -> Rank:
    return claim.rank


def _is_alike(known: Claim, new: Claim) -> bool:
    return (known.subjects, known.rank) == (new.subjects, new.rank)


def limit_in_force(
    workflows: Cache[WorkflowView], environments: Cache[EnvironmentView], limits: Limits, subject: Subject
) -> int | None:
    """How many runs a subject may have under way; None if there is no limit."""
    match subject.kind:
        case "Workflow":
            workflow = workflows.get((subject.namespace, subject.name))
            return written_limit(workflow.spec) if workflow is not None else None
        case "Environment":
            environment = environments.get(("", subject.name))
            return written_limit(environment.spec) if environment is not None else None
        case "Namespace" | "Installation":
            return limit_of_installation(subject, limits)
