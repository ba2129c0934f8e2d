"""Limits on how many runs are under way, and who gets the places that are free: by priority, then age.

A limit is on a subject: a workflow, an Environment, a namespace, or the installation. A run that is under a
limit needs a place of each of its subjects before its first Job, and has it until it has ended. The operator
gives places away; the facade works out from the same rules when a run will have its turn.

Pure. Waiting runs with the same subjects stand in one line; only the first of each line has to be looked at,
since a limit that stops it stops all behind it. A run that one limit stops does not stop those of other
lines: what it waits for is not theirs to take.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

from nightcrawler_crds import defaults

SubjectKind = Literal["Workflow", "Environment", "Namespace", "Installation"]

_PRIORITIES: Final = ("critical", "high", "medium", "low")


class Subject(NamedTuple):
    """What a limit is on; `name` is empty for the installation."""

    kind: SubjectKind
    name: str = ""
    namespace: str = ""

    @property
    def called(self) -> str:
        """The subject in a sentence."""
        return "the installation" if self.kind == "Installation" else f"{self.kind.lower()} {self.name!r}"


Subjects = tuple[Subject, ...]


@lru_cache(maxsize=2_000)
def subjects_of(namespace: str, workflow: str, environment: str | None) -> Subjects:
    """The subjects of a run, the narrowest first; `environment` is the metadata.name of an Environment.

    Thousands of runs have the same ones, and share them.
    """
    of_environment = (Subject("Environment", environment),) if environment else ()
    return (
        Subject("Workflow", workflow, namespace),
        *of_environment,
        Subject("Namespace", namespace),
        Subject("Installation"),
    )


class Rank(NamedTuple):
    """The order of waiting runs: by priority, then age; the smallest is the first."""

    less_important: int
    created: datetime
    namespace: str
    name: str


def rank(priority: str | None, created: datetime, namespace: str, name: str) -> Rank:
    """The position of a run of a workflow with that priority."""
    known = priority if priority in _PRIORITIES else defaults.PRIORITY
    return Rank(_PRIORITIES.index(known), created, namespace, name)


class Waiting(Protocol):
    """A run that waits for a place of each of its subjects."""

    @property
    def rank(self) -> Rank:
        """Its position."""
        ...

    @property
    def subjects(self) -> Subjects:
        """What it needs a place of."""
        ...


W = TypeVar("W", bound=Waiting)
LimitOf = Callable[[Subject], int | None]
"""How many runs a subject may have under way; None for any number."""


@dataclass(frozen=True, slots=True)
class Allocation(Generic[W]):
    """Who gets places now, and the first of each line that gets none, with the subject that is full."""

    granted: tuple[W, ...]
    blocked: tuple[tuple[W, Subject], ...]


def allocate(
    lines: Mapping[Subjects, Sequence[W]], held: Mapping[Subject, int], limit_of: LimitOf
) -> Allocation[W]:
    """Give away what is free. Each line is in the order of `rank`; `held` are the places that are taken."""
    taken = Counter(held)
    firsts = [(waiting[0].rank, 0, subjects) for subjects, waiting in lines.items() if waiting]
    heapq.heapify(firsts)
    granted: list[W] = []
    blocked: list[tuple[W, Subject]] = []
    while firsts:
        _, position, subjects = firsts[0]
        line = lines[subjects]
        full = first_full(subjects, taken, limit_of)
        if full is not None:
            heapq.heappop(firsts)
            blocked.append((line[position], full))
            continue
        granted.append(line[position])
        taken.update(subjects)
        following = position + 1
        if following < len(line):
            heapq.heapreplace(firsts, (line[following].rank, following, subjects))
        else:
            heapq.heappop(firsts)
    return Allocation(tuple(granted), tuple(blocked))


def first_full(subjects: Subjects, held: Mapping[Subject, int], limit_of: LimitOf) -> Subject | None:
    """The first of these subjects that has no place left."""
    return next(
        (one for one in subjects if (most := limit_of(one)) is not None and held.get(one, 0) >= most), None
    )


@dataclass(frozen=True, slots=True)
class Queue:
    """What a run waits for: the subject that is full, its limit, and how many are under way and ahead."""

    subject: Subject
    limit: int
    running: int
    ahead: int

    @property
    def sentence(self) -> str:
        """Why it is not its turn, and how many wait before it."""
        before = {0: "", 1: ", and 1 run waits before it"}
        return (
            f"{self.subject.called} has {self.running} of at most {self.limit} "
            f"{'run' if self.limit == 1 else 'runs'} under way"
            + before.get(self.ahead, f", and {self.ahead} wait before it")
        )


def queue_of(
    subjects: Subjects,
    own: Rank,
    lines: Mapping[Subjects, Sequence[W]],
    held: Mapping[Subject, int],
    limit_of: LimitOf,
) -> Queue | None:
    """What a run of that rank waits for among those that wait in line; None if no limit applies to it."""
    limited = [one for one in subjects if limit_of(one) is not None]
    # With none full, others are about to get what is free.
    subject = first_full(subjects, held, limit_of) or next(iter(limited), None)
    if subject is None:
        return None
    ahead = sum(bisect_left(line, own, key=_rank) for of, line in lines.items() if subject in of)
    return Queue(subject, limit_of(subject) or 0, held.get(subject, 0), ahead)


def _rank(waiting: Waiting) -> Rank:
    return waiting.rank


def written_limit(spec: Mapping[str, Any]) -> int | None:
    """The limit that a workflow or an Environment sets; `spec` is as written."""
    written = spec.get("maxRunning")
    return written if isinstance(written, int) else None


class InstallationLimits(Protocol):
    """The settings with limits of an installation."""

    @property
    def max_running(self) -> int | None:
        """Of all runs."""
        ...

    @property
    def max_running_per_namespace(self) -> int | None:
        """Of those of each namespace."""
        ...

    @property
    def max_running_in(self) -> Mapping[str, int]:
        """Of those of a namespace, by its name."""
        ...


def limit_of_installation(subject: Subject, limits: InstallationLimits) -> int | None:
    """The limit that the installation sets on itself, or on a namespace."""
    if subject.kind == "Installation":
        return limits.max_running
    if subject.kind == "Namespace":
        return limits.max_running_in.get(subject.name, limits.max_running_per_namespace)
    return None
