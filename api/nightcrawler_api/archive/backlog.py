"""What is still to be written to the archive: a follower of the change hub; no I/O.

Everything that the cluster still has can be found again by a look at the whole cache, so that nothing is lost
with the process. Only what was deleted before it was archived is held here alone; of that there is a limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from nightcrawler_api.keeping.notes import ARCHIVE, LOGS, owes
from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.index import Index, owner_of
from nightcrawler_crds.kube.metadata import Owner
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

log = logging.getLogger(__name__)

V = TypeVar("V", ExecutionView, WorkflowView)

_MOST_DELETED: Final = 5_000
_BY_US: Final = frozenset({ARCHIVE, LOGS})
"""Duties that change nothing of what is archived. Others do: how messages were delivered, Events of Pods."""


class Backlog:
    """Executions and workflows to be written, by UID.

    Attributes:
        news: Set when something is added.
        lost: How many executions were deleted and could not be held until they were archived.
    """

    def __init__(self, index: Index) -> None:
        self.news = asyncio.Event()
        self.lost = 0
        self._index = index
        self._runs: dict[str, ExecutionView] = {}
        self._deleted: dict[str, None] = {}
        self._refused: set[str] = set()
        self._workflows: dict[str, WorkflowView] = {}
        self._gone: dict[str, str] = {}
        """The namespaces of workflows that were deleted, by their UIDs."""

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def oldest(self) -> datetime | None:
        """When the first of them ended."""
        ends = [run.status.completion_time for run in self._runs.values() if run.status.completion_time]
        return min(ends, default=None)

    def look_at_all(self, known_workflows: Mapping[str, Mapping[str, int]]) -> None:
        """Add what the cache has and the archive does not.

        `known_workflows` are the generations of those that the archive has, by namespace and UID, in the
        namespaces of which the cache has all that there is.
        """
        for run in self._index.runs:
            if _is_complete(run.view) and (run.archived == 0 or owes(run.view, ARCHIVE)):
                self._add(run.view)
        present = {entry.view.metadata.uid: entry.view for entry in self._index.workflows()}
        for uid, view in present.items():
            known = known_workflows.get(view.metadata.namespace, {})
            if known.get(uid) != view.metadata.generation:
                self._workflows[uid] = view
        for namespace, workflows in known_workflows.items():
            self._gone.update(dict.fromkeys(workflows.keys() - present.keys(), namespace))
        self.news.set()

    def follow(self, change: Change[Any]) -> None:
        """Add what has ended or was deleted, and what has changed of workflows."""
        match change.kind:
            case EXECUTIONS.plural:
                self._execution_changed(change.old, change.new)
            case WORKFLOWS.plural:
                self._workflow_changed(change.old, change.new)
            case _:
                pass

    def _execution_changed(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        if new is None:
            if old is not None and ARCHIVE not in old.metadata.annotations.done_duties:
                self._hold(old)
            return
        if not _is_complete(new):
            return
        run = self._index.runs.run(*new.metadata.key)
        is_noted = ARCHIVE in new.metadata.annotations.done_duties
        if owes(new, ARCHIVE) or (not is_noted and (run is None or run.archived == 0)):
            self._add(new)

    def _hold(self, deleted: ExecutionView) -> None:
        uid = deleted.metadata.uid
        self._add(deleted)
        self._deleted[uid] = None
        if len(self._deleted) > _MOST_DELETED:
            first = next(iter(self._deleted))
            self.done([first])
            self.lost += 1
            log.error("an execution that was deleted is not archived: the archive has been away for too long")

    def _workflow_changed(self, old: WorkflowView | None, new: WorkflowView | None) -> None:
        if new is not None:
            if old is None or old.metadata.generation != new.metadata.generation:
                self._workflows[new.metadata.uid] = new
                self.news.set()
        elif old is not None:
            # Its last state too: it may have been created a moment ago.
            self._workflows[old.metadata.uid] = old
            self._gone[old.metadata.uid] = old.metadata.namespace
            self.news.set()

    def _add(self, execution: ExecutionView) -> None:
        uid = execution.metadata.uid
        if uid not in self._refused:
            self._runs[uid] = self._owned(execution)
            self.news.set()

    def _owned(self, execution: ExecutionView) -> ExecutionView:
        """An execution with its owner: until the operator has set it, the workflow that it names is that."""
        meta = execution.metadata
        entry = self._index.workflow((meta.namespace, execution.spec.workflow_ref.name))
        if entry is None or owner_of(execution) is not None:
            return execution
        own = entry.view.metadata
        owner = Owner(WORKFLOWS.api_version, WORKFLOWS.kind, own.name, own.uid)
        owned = msgspec.structs.replace(meta, owner_references=(*meta.owner_references, owner))
        return msgspec.structs.replace(execution, metadata=owned)

    def some_runs(self, most: int, but: Collection[str] = ()) -> list[ExecutionView]:
        """Some executions of one namespace, none of `but`: those that have waited longest first."""
        return _of_one_namespace(self._runs.values(), most, but)

    def some_workflows(self, most: int) -> list[WorkflowView]:
        """Some workflows of one namespace that have changed."""
        return _of_one_namespace(self._workflows.values(), most)

    @property
    def gone(self) -> Mapping[str, Collection[str]]:
        """UIDs of workflows that were deleted, by namespace."""
        found: dict[str, list[str]] = {}
        for uid, namespace in self._gone.items():
            found.setdefault(namespace, []).append(uid)
        return found

    def done(self, uids: Iterable[str]) -> None:
        """These executions are archived, and that is noted."""
        for uid in uids:
            self._runs.pop(uid, None)
            self._deleted.pop(uid, None)

    def refuse(self, uid: str) -> None:
        """The archive does not take this execution, now or later."""
        self._refused.add(uid)
        self.done([uid])

    def workflows_done(self, written: Iterable[WorkflowView]) -> None:
        """These workflows are written, unless they have changed since."""
        for view in written:
            if self._workflows.get(view.metadata.uid) is view:
                del self._workflows[view.metadata.uid]

    def gone_done(self, uids: Iterable[str]) -> None:
        """That these workflows were deleted is written."""
        for uid in uids:
            self._gone.pop(uid, None)


def _of_one_namespace(views: Iterable[V], most: int, but: Collection[str] = ()) -> list[V]:
    """The first of some objects, up to so many, that are in one namespace, which is none of `but`."""
    found: list[V] = []
    for view in views:
        namespace = view.metadata.namespace
        if namespace == found[0].metadata.namespace if found else namespace not in but:
            found.append(view)
            if len(found) == most:
                break
    return found


def _is_complete(execution: ExecutionView) -> bool:
    """Whether an execution has ended, and nothing that the operator owes is still to be recorded in it."""
    status = execution.status
    return status.has_ended and (status.settled is not False or _BY_US.issuperset(status.duties or ()))
