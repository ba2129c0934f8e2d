"""The workflows and executions of the caches in list order, with filters and counts; pure.

The index follows the changes of the caches. A page of executions costs the same however long the history
is. Objects that are being deleted are left out.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.ordering import (
    NEWEST_FIRST,
    Order,
    Ordering,
    Part,
    SortKey,
    SortValue,
    Timeline,
    part,
)
from nightcrawler_api.state.protection import Protection, Protections
from nightcrawler_api.state.runs import (
    ExecutionQuery,
    Run,
    Runs,
    Siblings,
    matching_among,
    sort_values,
    without_row,
)
from nightcrawler_api.state.searches import Searches
from nightcrawler_api.state.statuses import ExecutionStatus, started
from nightcrawler_crds import defaults
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

V = TypeVar("V", WorkflowView, ExecutionView)
WorkflowStatus = Literal["active", "inactive"]

_PRIORITIES: Final = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class WorkflowQuery:
    """The filters of a list of workflows; all that are set must match. Times are seconds since 1970.

    Attributes:
        creators: Names of one creator; the empty one stands for workflows that name none.
        environments: Names of one environment, by any of which a workflow may name it.
        begin: The earliest creation, inclusive.
        end: The latest creation, exclusive.
        seen: Only workflows of these protections; None is no filter.
    """

    status: WorkflowStatus | None = None
    priority: str | None = None
    search: str = ""
    tags: frozenset[str] = frozenset()
    creators: Collection[str] | None = None
    environments: frozenset[str] | None = None
    namespace: str | None = None
    begin: float | None = None
    end: float | None = None
    seen: frozenset[Protection] | None = None
    ordering: Ordering = NEWEST_FIRST


class WorkflowEntry:
    """A workflow with its executions, and what filters read of it precomputed."""

    __slots__ = (
        "environments",
        "order",
        "priority",
        "protection",
        "runs",
        "scheduled",
        "tags",
        "text",
        "view",
    )

    def __init__(self, view: WorkflowView, runs: Runs, protection: Protection) -> None:
        self.view = view
        self.runs = runs
        self.protection = protection
        self.order: Order = (_created(view), view.metadata.namespace, view.metadata.name)
        self.priority: str = view.spec.get("priority") or defaults.PRIORITY
        self.scheduled = bool((view.spec.get("config") or {}).get("schedule")) and not view.spec.get(
            "suspend"
        )
        self.tags: Sequence[str] = view.spec.get("tags") or ()
        self.environments: Sequence[str] = view.spec.get("environments") or ()
        # A line feed between the two: a search must not match across them.
        self.text = searchable(f"{self.name}\n{self.description}")

    @property
    def name(self) -> str:
        """The name for people; a manifest may have left it out."""
        return self.view.spec.get("displayName") or self.view.metadata.name

    @property
    def description(self) -> str:
        """What it does, for people."""
        return self.view.spec.get("description") or ""

    @property
    def status(self) -> WorkflowStatus:
        """Active: has a schedule that is not suspended, or an execution in flight."""
        return "active" if self.scheduled or self.runs.in_flight else "inactive"

    @property
    def last_run(self) -> datetime | None:
        """When the latest execution started; from the status once the execution is pruned from history."""
        latest = self.runs.latest
        return started(latest) if latest else self.view.status.last_run_time


_ALL: Final = WorkflowQuery()


def _last_run(entry: WorkflowEntry) -> SortValue:
    if (newest := entry.runs.newest) is not None:
        return newest.started
    last = entry.view.status.last_run_time
    return last.timestamp() if last else None


_WORKFLOW_VALUES: Final[Mapping[str, SortKey[WorkflowEntry]]] = {
    "name": SortKey(lambda entry: entry.text.partition("\n")[0]),
    "lastRun": SortKey(_last_run),
    "priority": SortKey(lambda entry: float(_PRIORITIES.index(entry.priority))),
}
_SPARSE: Final = 8
"""Executions of some workflows are collected, not searched for among all, if they are so much fewer."""


class Index:
    """Workflows by namespace and name, and executions.

    Attributes:
        runs: All executions, also those without a workflow.
        protections: Those of all workflows and executions.
    """

    def __init__(self) -> None:
        self.runs = Runs()
        self.protections = Protections()
        # How many of each kind there are: for who sees all of them, as most do, nothing has to be filtered.
        self._kinds: Counter[Protection] = Counter()
        self._run_kinds: Counter[Protection] = Counter()
        self._workflows: Timeline[WorkflowEntry] = Timeline()
        self._searches = Searches()
        self._entries: dict[Key, WorkflowEntry] = {}
        # By the workflow's key: executions may arrive before their workflow.
        self._runs: dict[Key, Siblings] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def workflow(self, key: Key) -> WorkflowEntry | None:
        """A workflow by its namespace and name."""
        return self._entries.get(key)

    def workflows(self) -> Iterable[WorkflowEntry]:
        """All workflows, unordered."""
        return self._entries.values()

    def page(self, offset: int, limit: int, query: WorkflowQuery = _ALL) -> Part[WorkflowEntry]:
        """Up to `limit` matching workflows, and the number of all that match."""
        return part(
            self._matching(query), query.ordering, offset, limit, _WORKFLOW_VALUES.get(query.ordering.field)
        )

    def executions(
        self, runs: Runs, offset: int, limit: int, query: ExecutionQuery, now: datetime
    ) -> Part[Run]:
        """Up to `limit` of these executions that match, and the number of all that match."""
        value = sort_values(now).get(query.ordering.field)
        return part(self.matching(runs, query), query.ordering, offset, limit, value)

    def matching(self, runs: Runs, query: ExecutionQuery, upto: int = 0) -> Sequence[Run]:
        """The executions that fit a query's filters, oldest first.

        With `upto`, only those that have no row in the archive with a key up to this.
        """
        if query.seen is not None and _has_all(query.seen, self._run_kinds):
            query = replace(query, seen=None)
        if query.workflow is None and not query.tags:
            return runs.matching(query, upto)
        wanted = self._wanted(query)
        if runs is self.runs and _SPARSE * sum(len(one.runs) for one in wanted) < len(runs):
            some = (run for one in wanted for run in one.runs.values())
            return without_row(matching_among(some, query), upto)
        return [run for run in runs.matching(query, upto) if run.siblings in wanted]

    def _wanted(self, query: ExecutionQuery) -> set[Siblings]:
        """The executions of the workflows that fit a query."""
        keys: Collection[Key] = self._runs.keys()
        if query.workflow is not None:
            keys = [query.workflow]
        if query.tags:
            tagged = list(self._entries.items())
            for tag in query.tags:
                tagged = [(key, entry) for key, entry in tagged if tag in entry.tags]
            known = {key for key, _ in tagged}
            keys = known.intersection(keys) if query.workflow is not None else known
        return {self._runs[key] for key in keys if key in self._runs}

    def _matching(self, query: WorkflowQuery) -> Sequence[WorkflowEntry]:
        # One pass per filter, each a loop without calls: there may be 10,000 workflows.
        matching = self._workflows.oldest_first()
        if needle := searchable(query.search):
            matching = self._searches.find(needle, matching)
        if query.seen is not None and not _has_all(query.seen, self._kinds):
            seen = query.seen
            matching = [entry for entry in matching if entry.protection in seen]
        if query.namespace is not None:
            namespace = query.namespace
            matching = [entry for entry in matching if entry.order[1] == namespace]
        if query.priority is not None:
            matching = [entry for entry in matching if entry.priority == query.priority]
        if query.status is not None:
            active = query.status == "active"
            matching = [
                entry for entry in matching if (entry.scheduled or entry.runs.in_flight > 0) == active
            ]
        if query.creators is not None:
            creators = query.creators
            matching = [entry for entry in matching if entry.view.metadata.annotations.creator in creators]
        if query.environments is not None:
            apart = query.environments.isdisjoint
            matching = [entry for entry in matching if not apart(entry.environments)]
        if query.tags:
            within = query.tags.issubset
            matching = [entry for entry in matching if within(entry.tags)]
        if query.begin is not None:
            begin = query.begin
            matching = [entry for entry in matching if entry.order[0] >= begin]
        if query.end is not None:
            end = query.end
            matching = [entry for entry in matching if entry.order[0] < end]
        return matching

    def follow(self, change: Change[Any]) -> None:
        """Update the index; a follower of the change hub."""
        match change.kind:
            case WORKFLOWS.plural:
                self.workflow_changed(change.old, change.new)
            case EXECUTIONS.plural:
                self.execution_changed(change.old, change.new)
            case _:
                pass  # Environments and ComputeProfiles are few, and read from their caches

    def workflow_changed(self, old: WorkflowView | None, new: WorkflowView | None) -> None:
        """Update the index for a change of one workflow."""
        before, after = _present(old), _present(new)
        if before and after is None:
            gone = self._entries.pop(before.metadata.key)
            self._workflows.remove(gone)
            self._searches.clear()
            _count(self._kinds, gone.protection, -1)
        if after:
            key = after.metadata.key
            protection = self.protections.of(after)
            if before is None:
                entry = self._entries[key] = WorkflowEntry(after, self._runs_of(after), protection)
                self._workflows.add(entry)
                self._searches.clear()
                _count(self._kinds, protection, 1)
                self._protect(entry)
            else:
                known = self._entries[key]
                entry = self._entries[key] = WorkflowEntry(after, known.runs, protection)
                self._workflows.replace(entry)
                if entry.text != known.text:
                    self._searches.clear()
                if protection is not known.protection:
                    _count(self._kinds, known.protection, -1)
                    _count(self._kinds, protection, 1)
                    self._protect(entry)

    def _protect(self, entry: WorkflowEntry) -> None:
        """Protect the executions of a workflow as it is protected."""
        for run in entry.runs.entries():
            self._protect_run(run, entry.protection)

    def _protect_run(self, run: Run, protection: Protection) -> None:
        _count(self._run_kinds, run.protection, -1)
        run.protection = protection
        _count(self._run_kinds, protection, 1)

    def execution_changed(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        """Update the index for a change of one execution."""
        before, after = _present(old), _present(new)
        if before and after and before.spec.workflow_ref != after.spec.workflow_ref:
            # The one write that cancels it may change everything else in its spec.
            self.execution_changed(before, None)
            before = None
        view = before or after
        if view is None:
            return
        workflow, name = (view.metadata.namespace, view.spec.workflow_ref.name), view.metadata.name
        siblings = self._runs.setdefault(workflow, Siblings())
        run = siblings.runs[name] if before else Run(view, self.protections.of_orphans(workflow[0]))
        was = run.status
        if after is None:
            del siblings.runs[name]
            if not siblings.runs:
                del self._runs[workflow]
        else:
            run.update(after)
            run.siblings = siblings
            siblings.runs[name] = run
        _change(self.runs, run, was, before=before is not None, after=after is not None)
        _count(self._run_kinds, run.protection, (after is not None) - (before is not None))
        if entry := self._entries.get(workflow):
            uid = entry.view.metadata.uid
            if _is_owned(after, uid):
                self._protect_run(run, entry.protection)
            _change(entry.runs, run, was, before=_is_owned(before, uid), after=_is_owned(after, uid))

    def _runs_of(self, workflow: WorkflowView) -> Runs:
        runs = Runs()
        siblings = self._runs.get(workflow.metadata.key)
        for run in siblings.runs.values() if siblings else ():
            if _is_owned(run.view, workflow.metadata.uid):
                runs.add(run)
        return runs


def _change(runs: Runs, run: Run, was: ExecutionStatus, *, before: bool, after: bool) -> None:
    """Update these executions for a run that was, or is, among them."""
    if before and after:
        runs.moved(run, was)
    elif before:
        runs.remove(run, was)
    elif after:
        runs.add(run)


def _count(kinds: Counter[Protection], kind: Protection, change: int) -> None:
    """Count one more or less; what there is none of is forgotten."""
    if change:
        kinds[kind] += change
        if not kinds[kind]:
            del kinds[kind]


def _has_all(seen: frozenset[Protection], kinds: Collection[Protection]) -> bool:
    return len(kinds) <= len(seen) and seen.issuperset(kinds)


def searchable(text: str) -> str:
    """A text normalized for search: case folded, compatible characters unified."""
    return unicodedata.normalize("NFKC", text).casefold()


def _created(workflow: WorkflowView) -> float:
    at = workflow.metadata.creation_timestamp
    return at.timestamp() if at else 0.0


def _present(view: V | None) -> V | None:
    return None if view is None or view.metadata.deletion_timestamp else view


def _is_owned(execution: ExecutionView | None, uid: str) -> bool:
    """Whether there is an execution, and no other Workflow of the same name owns it.

    Without an owner it counts: the operator has not adopted it yet.
    """
    if execution is None:
        return False
    owners = _owners(execution)
    return uid in owners or not owners


def owner_of(execution: ExecutionView) -> str | None:
    """The UID of the Workflow that owns an execution; None if none does."""
    return next(iter(_owners(execution)), None)


def _owners(execution: ExecutionView) -> list[str]:
    return [
        owner.uid
        for owner in execution.metadata.owner_references
        if owner.kind == WORKFLOWS.kind and owner.api_version.startswith(f"{WORKFLOWS.group}/")
    ]
