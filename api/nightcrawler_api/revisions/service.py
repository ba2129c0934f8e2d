"""Use cases of revisions: list, show, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

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
class _Entry:
    """A revision in a list."""

    view: RevisionView

    @property
    def order(self) -> Order:
        """Its place by creation."""
        meta = self.view.metadata
        created = meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0
        return created, meta.namespace, meta.name


_GENERATION: Final = SortKey[_Entry](lambda one: float(one.view.revision))


class RevisionService:
    """Revisions of workflows, which are ControllerRevisions, read from the API server."""

    def __init__(self, store: Store, cluster: ClusterCache) -> None:
        self._store = store
        self._cluster = cluster

    async def page(self, workflow: str, asked: RevisionParameters, caller: Caller) -> RevisionList:
        """A page of the revisions that executions of a workflow used, as far as they are kept."""
        ordering, window = asked.ordering, asked.window
        entry = await self._cluster.workflow(workflow)
        label = f"{names.LABEL_WORKFLOW}={workflow}"
        found = await self._store.list_all(
            REVISIONS, self._cluster.namespace, RevisionView, label_selector=label
        )
        own = sorted((_Entry(view) for view in found if _is_of(view, entry)), key=lambda one: one.order)
        by_generation = _GENERATION if ordering.field == "generation" else None
        shown = part(own, ordering, window.offset, window.limit, by_generation)
        current, used = self._current(entry), _uses(entry)
        page: RevisionList = {
            "revisions": [_row(one.view, current, used) for one in shown.entries],
            "total": shown.total,
            "page": asked.page,
            "pageSize": asked.page_size,
        }
        return continued(page, asked.sort, shown.next)

    async def show(self, workflow: str, name: str, caller: Caller) -> RevisionDetail:
        """A revision with its content."""
        entry = await self._cluster.workflow(workflow)
        view = await self._view(entry, name)
        return {**_row(view, self._current(entry), _uses(entry)), "content": view.data}

    async def compare(self, workflow: str, old: str, new: str, caller: Caller) -> RevisionDifference:
        """How a revision differs from another, or from the workflow as it is now."""
        entry = await self._cluster.workflow(workflow)
        before, after = [
            self._latest(entry) if name == LATEST else (await self._view(entry, name)).data
            for name in (old, new)
        ]
        return {"old": old, "new": new, "differences": differences(before, after)}

    async def _view(self, entry: WorkflowEntry, name: str) -> RevisionView:
        view = None
        if names.is_dns_label(name, names.MAX_REVISION_NAME):
            with suppress(NotFound):
                view = await self._store.get(REVISIONS, self._cluster.namespace, name, RevisionView)
        if view is None or not _is_of(view, entry):
            workflow = entry.view.metadata.name
            raise NotFound(
                f"the workflow {workflow!r} has no revision {name!r}; "
                f"GET /api/workflows/{workflow}/revisions lists those it has"
            )
        return view

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


def _is_of(view: RevisionView, entry: WorkflowEntry) -> bool:
    return any(owner.uid == entry.view.metadata.uid for owner in view.metadata.owner_references)


def _uses(entry: WorkflowEntry) -> Counter[str | None]:
    return Counter(run.status.revision for run in entry.runs.all())


def _row(view: RevisionView, current: str, used: Mapping[str | None, int]) -> Revision:
    meta = view.metadata
    return {
        "id": meta.name,
        "generation": view.revision,
        "createdAt": clock.to_wire(meta.creation_timestamp) if meta.creation_timestamp else "",
        "current": meta.name == current,
        "executions": used.get(meta.name, 0),
    }
