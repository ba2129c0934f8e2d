"""Executions in list order, with filters and counts; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final, Protocol

from typing_extensions import override

from nightcrawler_api.state.ordering import (
    NEWEST_FIRST,
    Order,
    Ordered,
    Ordering,
    SortKey,
    SortValue,
    Timeline,
)
from nightcrawler_api.state.protection import Protection
from nightcrawler_api.state.statuses import (
    EXECUTION_STATUSES,
    IN_FLIGHT,
    ExecutionStatus,
    created,
    ended,
    execution_status,
    is_pending,
    started,
)
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery:
    """The filters of a list of executions; all that are set must match. Times are seconds since 1970.

    Attributes:
        pending: Only those of which no step has started.
        workflow: Namespace and name of their workflow.
        namespace: Only those in this namespace.
        environments: Names of one environment, by any of which a run may have asked for it.
        executors: Names of one executor; None stands for runs that name none.
        tags: Tags that their workflow has, all of them.
        begin: The earliest start, inclusive; of a run that has not started, its creation.
        end: The latest start, exclusive.
        seen: Only executions of these protections; None is no filter.
        owners: The UIDs of the workflows whose archived executions `seen` means; for the archive.
    """

    status: ExecutionStatus | None = None
    pending: bool = False
    workflow: Key | None = None
    namespace: str | None = None
    environments: Collection[str] | None = None
    executors: Collection[str | None] | None = None
    tags: frozenset[str] = frozenset()
    begin: float | None = None
    end: float | None = None
    seen: frozenset[Protection] | None = None
    owners: frozenset[str] | None = None
    ordering: Ordering = NEWEST_FIRST


class Siblings:
    """The executions that name one workflow, whether it exists, and whatever their owner."""

    __slots__ = ("runs",)

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}


class Run:
    """An execution, and what filters and orders read of it precomputed.

    Attributes:
        archived: The key of its row in the archive; 0 if none is known.
        siblings: Those of the workflow that it names, itself among them; None outside an index.
        protection: That of the workflow that owns it.
    """

    __slots__ = (
        "archived",
        "ended",
        "environment",
        "order",
        "protection",
        "siblings",
        "started",
        "status",
        "view",
    )

    def __init__(self, view: ExecutionView, protection: Protection) -> None:
        meta = view.metadata
        self.protection = protection
        self.archived = 0
        self.siblings: Siblings | None = None
        self.order: Order = (created(view).timestamp(), meta.namespace, meta.name)
        self.update(view)

    @property
    def has_started(self) -> bool:
        """Whether it has a duration: it has ended, or a step of it has started."""
        return self.ended is not None or self.view.status.start_time is not None

    def update(self, view: ExecutionView) -> None:
        """Take over a later state of the same execution."""
        self.view = view
        self.status: ExecutionStatus = execution_status(view)
        self.environment = view.status.environment or view.spec.environment
        self.started = started(view).timestamp()
        end = ended(view)
        self.ended = None if end is None else end.timestamp()


class Runs:
    """Executions: those of one workflow, or all."""

    __slots__ = ("_all", "_by_status", "_greatest", "_rowless", "_runs", "in_flight")

    def __init__(self) -> None:
        self._all: Timeline[Run] = Timeline()
        self._by_status: dict[ExecutionStatus, Timeline[Run]] = {
            word: Timeline() for word in EXECUTION_STATUSES
        }
        self._runs: dict[tuple[str, str], Run] = {}
        self.in_flight = 0
        """How many have not ended; a counter, because filters read it for every workflow."""
        self._rowless: Timeline[Run] | None = None
        """The executions without a known row in the archive; None if they are not kept apart."""
        self._greatest = 0
        """The greatest key of a known row."""

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def latest(self) -> ExecutionView | None:
        """The newest one."""
        return newest.view if (newest := self.newest) else None

    @property
    def newest(self) -> Run | None:
        """The newest one, with what is precomputed."""
        ordered = self._all.oldest_first()
        return ordered[-1] if ordered else None

    def count(self, word: ExecutionStatus | None = None) -> int:
        """The number with a status, or of all."""
        return len(self._all if word is None else self._by_status[word])

    def get(self, namespace: str, name: str) -> ExecutionView | None:
        """One by its namespace and name."""
        run = self._runs.get((namespace, name))
        return run.view if run else None

    def run(self, namespace: str, name: str) -> Run | None:
        """One by its namespace and name, with what is precomputed."""
        return self._runs.get((namespace, name))

    def page(self, offset: int, limit: int, word: ExecutionStatus | None = None) -> list[ExecutionView]:
        """Up to `limit` with a status, or of all, newest first."""
        timeline = self._all if word is None else self._by_status[word]
        return [run.view for run in timeline.page(offset, limit)]

    def __iter__(self) -> Iterator[Run]:
        """All, unordered."""
        return iter(self._runs.values())

    def live(self) -> list[ExecutionView]:
        """All that have not ended."""
        return [run.view for word in IN_FLIGHT for run in self._by_status[word]]

    def entries(self) -> Iterable[Run]:
        """All with what is precomputed, unordered."""
        return self._runs.values()

    def all(self) -> Sequence[ExecutionView]:
        """All, unordered."""
        return tuple(run.view for run in self._runs.values())

    def matching(self, query: ExecutionQuery, upto: int = 0) -> Sequence[Run]:
        """Those that fit a query's filters but the workflow and its tags, oldest first.

        With `upto`, only those that have no row in the archive with a key up to this.
        """
        word = _status_of(query)
        if upto and self._rowless is not None and upto >= self._greatest:
            few = self._rowless.oldest_first()
            return _filtered(few if word is None else [run for run in few if run.status == word], query)
        base = self._all if word is None else self._by_status[word]
        return without_row(_filtered(base.oldest_first(), query), upto)

    def keep_rowless(self) -> None:
        """Keep those apart that have no row in the archive: there are few, and each list looks for them."""
        self._rowless = Timeline()
        for run in self._all.oldest_first():
            if not run.archived:
                self._rowless.add(run)

    def has_row(self, run: Run, key: int) -> None:
        """Note the key of a run's row in the archive."""
        if self._rowless is not None and not run.archived:
            self._rowless.remove(run)
        run.archived = key
        self._greatest = max(self._greatest, key)

    def forget_rows(self) -> None:
        """Know of no row any more."""
        for run in self._runs.values():
            run.archived = 0
        self._greatest = 0
        if self._rowless is not None:
            self.keep_rowless()

    def add(self, run: Run) -> None:
        """Add a run."""
        if self._rowless is not None and not run.archived:
            self._rowless.add(run)
        self._runs[run.order[1:]] = run
        self._all.add(run)
        self._by_status[run.status].add(run)
        self.in_flight += run.status in IN_FLIGHT

    def remove(self, run: Run, was: ExecutionStatus) -> None:
        """Remove a run; `was` is the status with which it is listed here."""
        if self._rowless is not None and not run.archived:
            self._rowless.remove(run)
        del self._runs[run.order[1:]]
        self._all.remove(run)
        self._by_status[was].remove(run)
        self.in_flight -= was in IN_FLIGHT

    def moved(self, run: Run, was: ExecutionStatus) -> None:
        """Note that a run's status may have changed."""
        if run.status != was:
            self._by_status[was].remove(run)
            self._by_status[run.status].add(run)
            self.in_flight += (run.status in IN_FLIGHT) - (was in IN_FLIGHT)


def without_row(runs: Sequence[Run], upto: int) -> Sequence[Run]:
    """Those that have no row in the state of the archive with keys up to this."""
    return [run for run in runs if not 0 < run.archived <= upto] if upto else runs


def matching_among(runs: Iterable[Run], query: ExecutionQuery) -> Sequence[Run]:
    """Those of some executions that fit a query's filters but the workflow and its tags, oldest first."""
    word = _status_of(query)
    some = sorted((run for run in runs if word is None or run.status == word), key=attrgetter("order"))
    return _filtered(some, query)


def _status_of(query: ExecutionQuery) -> ExecutionStatus | None:
    return "running" if query.pending else query.status


def _filtered(found: Sequence[Run], query: ExecutionQuery) -> Sequence[Run]:
    """Those that fit the filters beside the status."""
    if query.pending and query.status not in (None, "running"):
        return ()
    # One pass per filter, each a loop without calls: there may be 100,000 runs.
    if query.seen is not None:
        seen = query.seen
        found = [run for run in found if run.protection in seen]
    if query.namespace is not None:
        namespace = query.namespace
        found = [run for run in found if run.order[1] == namespace]
    if query.pending:
        found = [run for run in found if is_pending(run.view)]
    if query.environments is not None:
        names = query.environments
        found = [run for run in found if run.environment in names]
    if query.executors is not None:
        executors = query.executors
        found = [run for run in found if (run.view.spec.executor or None) in executors]
    if query.begin is not None:
        begin = query.begin
        found = [run for run in found if run.started >= begin]
    if query.end is not None:
        end = query.end
        found = [run for run in found if run.started < end]
    return found


class Timed(Ordered, Protocol):
    """What lists of executions sort by, of a cached or an archived one; times are seconds since 1970."""

    @property
    def started(self) -> float:
        """When its first step started; if none has, its creation."""
        ...

    @property
    def ended(self) -> float | None:
        """When it ended; None of a live one."""
        ...

    @property
    def has_started(self) -> bool:
        """Whether it has a duration."""
        ...


class _Durations(SortKey[Timed]):
    """How long executions took; of a live one, until `now`; of one that has not started, None."""

    __slots__ = ("_now",)

    def __init__(self, now: float) -> None:
        super().__init__(self._duration)
        self._now = now

    @override
    def all(self, entries: Sequence[Timed]) -> list[SortValue]:
        """The values of many."""
        # Without a call for those that have ended, which are most.
        live = self._duration
        return [live(run) if (end := run.ended) is None else end - run.started for run in entries]

    def _duration(self, run: Timed) -> float | None:
        if not run.has_started:
            return None
        return (self._now if run.ended is None else run.ended) - run.started


_FIXED: Final[Mapping[str, SortKey[Timed]]] = {
    "startTime": SortKey(attrgetter("started")),
    "endTime": SortKey(attrgetter("ended")),
}


def sort_values(now: datetime) -> Mapping[str, SortKey[Timed]]:
    """What executions are sorted by, other than creation."""
    return {**_FIXED, "duration": _Durations(now.timestamp())}
