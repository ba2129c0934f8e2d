"""What the facade knows, in the order in which it is asked for; pure.

The index is told of every change by the informers' caches, and answers pages of lists
without looking at what is not on them: a page of executions costs the same however long
the history is. Objects that are being deleted are not there any more.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.statuses import (
    EXECUTION_WORDS,
    IN_FLIGHT,
    ExecutionWord,
    created,
    execution_word,
)
from nightcrawler_crds import defaults
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

V = TypeVar("V", WorkflowView, ExecutionView)
K = TypeVar("K", str, Key)
WorkflowWord = Literal["active", "inactive"]


@dataclass(frozen=True, slots=True)
class WorkflowQuery:
    """Which workflows a list is to have: those that fit every filter that is set."""

    status: WorkflowWord | None = None
    priority: str | None = None
    search: str = ""


class Timeline(Generic[K]):
    """Names by the time of creation, newest first; those of one second by their names.

    Most come at the end: that is an append. What comes out of order (the first list comes in
    the order of names) is put right when the timeline is next read, in one go.
    """

    __slots__ = ("_keys", "_settled")

    def __init__(self) -> None:
        self._keys: list[tuple[float, K]] = []
        self._settled = True

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[K]:
        self._settle()
        return (name for _, name in reversed(self._keys))

    def add(self, at: float, name: K) -> None:
        """Put a name in."""
        key = (at, name)
        if self._keys and key < self._keys[-1]:
            self._settled = False
        self._keys.append(key)

    def remove(self, at: float, name: K) -> None:
        """Take a name out that was put in at that time."""
        self._settle()
        position = bisect_left(self._keys, (at, name))
        assert self._keys[position] == (at, name), "a change was told of an object that was never told of"
        del self._keys[position]

    def page(self, offset: int, limit: int) -> list[K]:
        """So many names from the newest on, after leaving out the first `offset`."""
        self._settle()
        end = max(len(self._keys) - offset, 0)
        return [name for _, name in reversed(self._keys[max(end - limit, 0) : end])]

    def _settle(self) -> None:
        if not self._settled:
            self._keys.sort()
            self._settled = True


class Runs:
    """The executions of one workflow."""

    __slots__ = ("_all", "_by_word", "_views", "in_flight")

    def __init__(self) -> None:
        self._all: Timeline[str] = Timeline()
        self._by_word: dict[ExecutionWord, Timeline[str]] = {word: Timeline() for word in EXECUTION_WORDS}
        self._views: dict[str, ExecutionView] = {}
        self.in_flight = 0
        """How many have not ended; kept at hand, because filters ask it of every workflow."""

    def __len__(self) -> int:
        return len(self._views)

    @property
    def latest(self) -> ExecutionView | None:
        """The newest one."""
        return next(iter(self.page(0, 1)), None)

    def count(self, word: ExecutionWord | None = None) -> int:
        """How many have a status, or how many there are."""
        return len(self._all if word is None else self._by_word[word])

    def get(self, name: str) -> ExecutionView | None:
        """One by its name."""
        return self._views.get(name)

    def page(self, offset: int, limit: int, word: ExecutionWord | None = None) -> list[ExecutionView]:
        """So many of a status, or of all, newest first."""
        timeline = self._all if word is None else self._by_word[word]
        return [self._views[name] for name in timeline.page(offset, limit)]

    def live(self) -> list[ExecutionView]:
        """All that have not ended."""
        return [self._views[name] for word in IN_FLIGHT for name in self._by_word[word]]

    def everything(self) -> Sequence[ExecutionView]:
        """All there are, in no order."""
        return tuple(self._views.values())

    def change(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        """Take in what has become of one execution."""
        before = execution_word(old) if old else None
        after = execution_word(new) if new else None
        self.in_flight += (after in IN_FLIGHT) - (before in IN_FLIGHT)
        if old and (new is None or before != after):
            self._by_word[execution_word(old)].remove(created(old).timestamp(), old.metadata.name)
        if new and before != after:
            self._by_word[execution_word(new)].add(created(new).timestamp(), new.metadata.name)
        if old and new is None:
            self._all.remove(created(old).timestamp(), old.metadata.name)
            del self._views[old.metadata.name]
        if new:
            if old is None:
                self._all.add(created(new).timestamp(), new.metadata.name)
            self._views[new.metadata.name] = new


class Known:
    """A workflow, with what lists ask of it at hand."""

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
    def status(self) -> WorkflowWord:
        """Active: has a schedule that is not suspended, or an execution in flight."""
        return "active" if self.scheduled or self.runs.in_flight else "inactive"


_ALL: Final = WorkflowQuery()


class Index:
    """Workflows by namespace and name, and their executions."""

    def __init__(self) -> None:
        self._order: Timeline[Key] = Timeline()
        self._known: dict[Key, Known] = {}
        # All of them, newest first, once somebody has asked since the last change.
        self._newest: list[Known] | None = None
        # By the workflow's key, for it may become known after its executions; then by their own names.
        self._runs: dict[Key, dict[str, ExecutionView]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def workflow(self, key: Key) -> Known | None:
        """A workflow by its namespace and name."""
        return self._known.get(key)

    def page(self, offset: int, limit: int, query: WorkflowQuery = _ALL) -> tuple[list[Known], int]:
        """So many workflows that fit, newest first, and how many fit in all."""
        # One pass a filter: each is a loop without calls, for there may be many to look through.
        fitting = self._in_order()
        if query.priority is not None:
            fitting = [known for known in fitting if known.priority == query.priority]
        if query.status is not None:
            active = query.status == "active"
            fitting = [known for known in fitting if (known.scheduled or known.runs.in_flight > 0) == active]
        if needle := searchable(query.search):
            fitting = [known for known in fitting if needle in known.text]
        return fitting[offset : offset + limit], len(fitting)

    def _in_order(self) -> list[Known]:
        if self._newest is None:
            self._newest = [self._known[key] for key in self._order]
        return self._newest

    def follow(self, change: Change[Any]) -> None:
        """Update the index; a follower of the change hub."""
        match change.kind:
            case WORKFLOWS.plural:
                self.workflow_changed(change.old, change.new)
            case EXECUTIONS.plural:
                self.execution_changed(change.old, change.new)
            case _:
                pass  # Environments are few, and read from their cache

    def workflow_changed(self, old: WorkflowView | None, new: WorkflowView | None) -> None:
        """Update the index for a change of one workflow."""
        self._newest = None
        before, after = _present(old), _present(new)
        if before and after is None:
            self._order.remove(_created(before), before.metadata.key)
            del self._known[before.metadata.key]
        if after:
            key = after.metadata.key
            if before is None:
                self._order.add(_created(after), key)
            runs = self._known[key].runs if before else self._runs_of(after)
            self._known[key] = Known(after, runs)

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
        if known := self._known.get(workflow):
            uid = known.view.metadata.uid
            known.runs.change(_if_of(before, uid), _if_of(after, uid))

    def _runs_of(self, workflow: WorkflowView) -> Runs:
        runs = Runs()
        for execution in self._runs.get(workflow.metadata.key, {}).values():
            runs.change(None, _if_of(execution, workflow.metadata.uid))
        return runs


def searchable(text: str) -> str:
    """A text as searches compare it: without case, and composed and compatible characters alike."""
    return unicodedata.normalize("NFKC", text).casefold()


def _created(workflow: WorkflowView) -> float:
    at = workflow.metadata.creation_timestamp
    return at.timestamp() if at else 0.0


def _present(view: V | None) -> V | None:
    return None if view is None or view.metadata.deletion_timestamp else view


def _if_of(execution: ExecutionView | None, uid: str) -> ExecutionView | None:
    """An execution, unless it is of an earlier workflow that had the same name.

    One that no Workflow owns is of whichever has the name: the operator has not adopted it yet.
    """
    if execution is None:
        return None
    owners = [
        owner.uid
        for owner in execution.metadata.owner_references
        if owner.kind == WORKFLOWS.kind and owner.api_version.startswith(f"{WORKFLOWS.group}/")
    ]
    return execution if uid in owners or not owners else None
