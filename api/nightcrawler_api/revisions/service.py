"""Use cases of revisions: list, show, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from nightcrawler_api.archive.contract import ArchivedRevision, History
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.pagination import continued
from nightcrawler_api.revisions.differences import differences
from nightcrawler_api.revisions.schemas import (
    Revision,
    RevisionDetail,
    RevisionDifference,
    RevisionList,
    RevisionParameters,
)
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.ordering import Order, SortKey, part
from nightcrawler_api.state.runs import Run, without_row
from nightcrawler_crds import clock, names, revisions
from nightcrawler_crds.errors import NotFound
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import REVISIONS
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import used_profiles

LATEST: Final = "latest"
"""The workflow as it is now, in place of a revision; no revision has such a name."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A revision, with its content if that was read; `archived` if only the archive has it."""

    revision: ArchivedRevision
    archived: bool = False

    @property
    def order(self) -> Order:
        """Its place by creation."""
        created = self.revision.created
        return created.timestamp() if created else 0.0, "", self.revision.name


_GENERATION: Final = SortKey[_Found](lambda one: float(one.revision.generation))


class RevisionService:
    """Revisions of workflows: ControllerRevisions of the cluster, and those that only the archive has."""

    def __init__(
        self, store: Store, cluster: ClusterCache, guard: Guard, history: History | None = None
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._guard = guard
        self._history = history

    async def page(self, workflow: str, asked: RevisionParameters, caller: Caller) -> RevisionList:
        """A page of the revisions that executions of a workflow used, as far as they are kept."""
        ordering, window = asked.ordering, asked.window
        entry = await self._guard.workflow(workflow, caller, Operation.LIST_REVISIONS)
        namespace, name = entry.view.metadata.key
        label = f"{names.LABEL_WORKFLOW}={name}"
        found = await self._store.list_all(REVISIONS, namespace, RevisionView, label_selector=label)
        there = {view.metadata.name: _of_cluster(view) for view in found if _is_of(view, entry)}
        known, uses = await self._archived(entry)
        them = {name: _Found(one, archived=name not in there) for name, one in known.items()}
        them |= {name: _Found(one) for name, one in there.items() if name not in them}
        own = sorted(them.values(), key=lambda one: one.order)
        by_generation = _GENERATION if ordering.field == "generation" else None
        shown = part(own, ordering, window.offset, window.limit, by_generation)
        current = self._current(entry)
        page: RevisionList = {
            "revisions": [_row(one, current, uses) for one in shown.entries],
            "total": shown.total,
            "page": asked.page,
            "pageSize": asked.page_size,
        }
        return continued(page, asked.sort, shown.next)

    async def show(self, workflow: str, name: str, caller: Caller) -> RevisionDetail:
        """A revision with its content."""
        entry = await self._guard.workflow(workflow, caller, Operation.SHOW_REVISION)
        found = await self._find(entry, name)
        known, uses = await self._archived(entry)
        if (one := known.get(name)) is not None:
            found = replace(found, revision=replace(one, data=found.revision.data))
        shown = _row(found, self._current(entry), uses)
        return {**shown, "content": dict(found.revision.data)}

    async def compare(self, workflow: str, old: str, new: str, caller: Caller) -> RevisionDifference:
        """How a revision differs from another, or from the workflow as it is now."""
        entry = await self._guard.workflow(workflow, caller, Operation.COMPARE_REVISIONS)
        before, after = [
            self._latest(entry) if name == LATEST else (await self._find(entry, name)).revision.data
            for name in (old, new)
        ]
        return {"old": old, "new": new, "differences": differences(before, after)}

    async def _find(self, entry: WorkflowEntry, name: str) -> _Found:
        """A revision of a workflow with its content."""
        namespace = entry.view.metadata.namespace
        if names.is_dns_label(name, names.MAX_REVISION_NAME):
            with suppress(NotFound):
                view = await self._store.get(REVISIONS, namespace, name, RevisionView)
                if _is_of(view, entry):
                    return _Found(_of_cluster(view))
            found = await self._history.revision(namespace, name) if self._history is not None else None
            if found is not None and found.workflow_uid == entry.view.metadata.uid:
                return _Found(found, archived=True)
        workflow = self._guard.ids.of(*entry.view.metadata.key)
        raise NotFound(
            f"the workflow {workflow!r} has no revision {name!r}; "
            f"GET /api/workflows/{workflow}/revisions lists those it has"
        )

    async def _archived(
        self, entry: WorkflowEntry
    ) -> tuple[Mapping[str, ArchivedRevision], Mapping[str | None, int]]:
        """The archived revisions of a workflow, and how many executions used each, archived or not.

        One that was put back into the cluster to repeat a run is newer there than it is.
        """
        if self._history is None:
            return {}, _uses(entry.runs)
        meta = entry.view.metadata
        found = await self._history.revisions(meta.namespace, meta.uid)
        uses = _uses(without_row([*entry.runs], found.upto))
        uses.update(found.uses)
        return {one.name: one for one in found.revisions}, uses

    def _current(self, entry: WorkflowEntry) -> str:
        """The name of the revision that an execution would use that starts now."""
        meta = entry.view.metadata
        return revisions.name_of(meta.name, meta.uid, self._latest(entry))

    def _latest(self, entry: WorkflowEntry) -> Mapping[str, Any]:
        """The content of that revision."""
        spec = entry.view.spec
        try:
            parsed = WorkflowSpec.model_validate(spec, extra="ignore")
        except ValidationError:
            return revisions.data_of(spec, {})  # no execution of it would begin
        return revisions.data_of(spec, used_profiles(parsed, self._cluster.profiles()))


def _of_cluster(view: RevisionView) -> ArchivedRevision:
    meta = view.metadata
    return ArchivedRevision(meta.name, "", view.revision, meta.creation_timestamp, view.data)


def _is_of(view: RevisionView, entry: WorkflowEntry) -> bool:
    return any(owner.uid == entry.view.metadata.uid for owner in view.metadata.owner_references)


def _uses(runs: Iterable[Run]) -> Counter[str | None]:
    return Counter(run.view.status.revision for run in runs)


def _row(found: _Found, current: str, uses: Mapping[str | None, int]) -> Revision:
    one = found.revision
    shown: Revision = {
        "id": one.name,
        "generation": one.generation,
        "createdAt": clock.to_wire(one.created) if one.created else "",
        "current": one.name == current,
        "executions": uses.get(one.name, 0),
    }
    if found.archived:
        shown["archived"] = True
    return shown
