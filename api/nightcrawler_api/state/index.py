"""Workflows and executions in list order, with filters and counts; pure.

The index follows the changes of the caches. A page of executions costs the same however long the history
is. Objects that are being deleted are left out.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.statuses import (
    EXECUTION_STATUSES,
    IN_FLIGHT,
    ExecutionStatus,
    created,
    execution_status,
)
from nightcrawler_crds import defaults
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

V = TypeVar("V", WorkflowView, ExecutionView)
K = TypeVar("K", str, Key)
WorkflowStatus = Literal["active", "inactive"]


@dataclass(frozen=True, slots=True)
class WorkflowQuery:
    """The filters of a list of workflows; all that are set must match."""

    status: WorkflowStatus | None = None
    priority: str | None = None
    search: str = ""


class Timeline(Generic[K]):
    """Names by creation time, newest first, then by name.

    Most additions are appends. After others (the first list comes ordered by name) the next read sorts once.
    """

    __slots__ = ("_keys", "_sorted")

    def __init__(self) -> None:
        self._keys: list[tuple[float, K]] = []
        self._sorted = True

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[K]:
        self._sort()
        return (name for _, name in reversed(self._keys))

    def add(self, at: float, name: K) -> None:
        """Add a name."""
        key = (at, name)
        if self._keys and key < self._keys[-1]:
            self._sorted = False
        self._keys.append(key)

    def remove(self, at: float, name: K) -> None:
        """Remove a name that was added with that time."""
        self._sort()
        position = bisect_left(self._keys, (at, name))
        assert self._keys[position] == (at, name), "a change of an object that was never added"
        del self._keys[position]

    def page(self, offset: int, limit: int) -> list[K]:
        """Up to `limit` names, newest first, after skipping `offset`."""
        self._sort()
        end = max(len(self._keys) - offset, 0)
        return [name for _, name in reversed(self._keys[max(end - limit, 0) : end])]

    def _sort(self) -> None:
        if not self._sorted:
            self._keys.sort()
            self._sorted = True


class Runs:
    """The executions of one workflow."""

    __slots__ = ("_all", "_by_status", "_views", "in_flight")

    def __init__(self) -> None:
        self._all: Timeline[str] = Timeline()
        self._by_status: dict[ExecutionStatus, Timeline[str]] = {
            word: Timeline() for word in EXECUTION_STATUSES
        }
        self._views: dict[str, ExecutionView] = {}
        self.in_flight = 0
        """How many have not ended; a counter, because filters read it for every workflow."""

    def __len__(self) -> int:
        return len(self._views)

    @property
    def latest(self) -> ExecutionView | None:
        """The newest one."""
        return next(iter(self.page(0, 1)), None)

    def count(self, word: ExecutionStatus | None = None) -> int:
        """The number with a status, or of all."""
        return len(self._all if word is None else self._by_status[word])

    def get(self, name: str) -> ExecutionView | None:
        """One by its name."""
        return self._views.get(name)

    def page(self, offset: int, limit: int, word: ExecutionStatus | None = None) -> list[ExecutionView]:
        """Up to `limit` with a status, or of all, newest first."""
        timeline = self._all if word is None else self._by_status[word]
        return [self._views[name] for name in timeline.page(offset, limit)]

    def live(self) -> list[ExecutionView]:
        """All that have not ended."""
        return [self._views[name] for word in IN_FLIGHT for name in self._by_status[word]]

    def all(self) -> Sequence[ExecutionView]:
        """All, unordered."""
        return tuple(self._views.values())

    def change(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        """Update for a change of one execution."""
        before = execution_status(old) if old else None
        after = execution_status(new) if new else None
        self.in_flight += (after in IN_FLIGHT) - (before in IN_FLIGHT)
        if old and (new is None or before != after):
            self._by_status[execution_status(old)].remove(created(old).timestamp(), old.metadata.name)
        if new and before != after:
            self._by_status[execution_status(new)].add(created(new).timestamp(), new.metadata.name)
        if old and new is None:
            self._all.remove(created(old).timestamp(), old.metadata.name)
            del self._views[old.metadata.name]
        if new:
            if old is None:
                self._all.add(created(new).timestamp(), new.metadata.name)
            self._views[new.metadata.name] = new


class WorkflowEntry:
    """A workflow with its executions, and what filters read of it precomputed."""

    __slots__ = ("priority", "runs", "scheduled", "text", "view")

    def __init__(self, view: WorkflowView, runs: Runs) -> None:
        self.view = view
        self.runs = runs
        self.priority: str = view.spec.get("priority") or defaults.PRIORITY
        self.scheduled = bool((view.spec.get("config") or {}).get("schedule")) and not view.spec.get(
            "suspend"
        )
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


_ALL: Final = WorkflowQuery()


class Index:
    """Workflows by namespace and name, and their executions."""

    def __init__(self) -> None:
        self._order: Timeline[Key] = Timeline()
        self._entries: dict[Key, WorkflowEntry] = {}
        # All entries, newest first; None after a change, until the next read.
        self._newest: list[WorkflowEntry] | None = None
        # By the workflow's key, then by execution name: executions may arrive before their workflow.
        self._runs: dict[Key, dict[str, ExecutionView]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def workflow(self, key: Key) -> WorkflowEntry | None:
        """A workflow by its namespace and name."""
        return self._entries.get(key)

    def page(self, offset: int, limit: int, query: WorkflowQuery = _ALL) -> tuple[list[WorkflowEntry], int]:
        """Up to `limit` matching workflows, newest first, and the number of all that match."""
        # One pass per filter, each a loop without calls: there may be 10,000 workflows.
        matching = self._in_order()
        if query.priority is not None:
            matching = [entry for entry in matching if entry.priority == query.priority]
        if query.status is not None:
            active = query.status == "active"
            matching = [
                entry for entry in matching if (entry.scheduled or entry.runs.in_flight > 0) == active
            ]
        if needle := searchable(query.search):
            matching = [entry for entry in matching if needle in entry.text]
        return matching[offset : offset + limit], len(matching)

    def _in_order(self) -> list[WorkflowEntry]:
        if self._newest is None:
            self._newest = [self._entries[key] for key in self._order]
        return self._newest

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
        self._newest = None
        before, after = _present(old), _present(new)
        if before and after is None:
            self._order.remove(_created(before), before.metadata.key)
            del self._entries[before.metadata.key]
        if after:
            key = after.metadata.key
            if before is None:
                self._order.add(_created(after), key)
            runs = self._entries[key].runs if before else self._runs_of(after)
            self._entries[key] = WorkflowEntry(after, runs)

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
        if after:
            self._runs.setdefault(workflow, {})[name] = after
        else:
            self._runs[workflow].pop(name)
            if not self._runs[workflow]:
                del self._runs[workflow]
        if entry := self._entries.get(workflow):
            uid = entry.view.metadata.uid
            entry.runs.change(_if_owned(before, uid), _if_owned(after, uid))

    def _runs_of(self, workflow: WorkflowView) -> Runs:
        runs = Runs()
        for execution in self._runs.get(workflow.metadata.key, {}).values():
            runs.change(None, _if_owned(execution, workflow.metadata.uid))
        return runs


def searchable(text: str) -> str:
    """A text normalized for search: case folded, compatible characters unified."""
    return unicodedata.normalize("NFKC", text).casefold()


def _created(workflow: WorkflowView) -> float:
    at = workflow.metadata.creation_timestamp
    return at.timestamp() if at else 0.0


def _present(view: V | None) -> V | None:
    return None if view is None or view.metadata.deletion_timestamp else view


def _if_owned(execution: ExecutionView | None, uid: str) -> ExecutionView | None:
    """The execution, unless another Workflow of the same name owns it.

    Without an owner it counts: the operator has not adopted it yet.
    """
    if execution is None:
        return None
    owners = [
        owner.uid
        for owner in execution.metadata.owner_references
        if owner.kind == WORKFLOWS.kind and owner.api_version.startswith(f"{WORKFLOWS.group}/")
    ]
    return execution if uid in owners or not owners else None
