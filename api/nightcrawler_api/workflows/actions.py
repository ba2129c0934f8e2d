"""Use cases of whole workflows: pause, resume, clone, export, import."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from nightcrawler_api.audit import trail
from nightcrawler_api.audit.record import of_generation
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Invalid, NotAllowed
from nightcrawler_api.http.conditions import IfMatch
from nightcrawler_api.repeats import Made, claim_of
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.workflows import manifests, presenter
from nightcrawler_api.workflows.schemas import WorkflowClone, WorkflowCreated, WorkflowUpdated
from nightcrawler_api.workflows.service import WorkflowService
from nightcrawler_crds import clock, names
from nightcrawler_crds.errors import AlreadyExists
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.names import WORKFLOWS

log = logging.getLogger(__name__)

_MAX_NAME: Final = 256


class WorkflowActions:
    """What can be done with a workflow beside editing and running it."""

    def __init__(self, store: Store, cluster: ClusterCache, guard: Guard, workflows: WorkflowService) -> None:
        self._store = store
        self._cluster = cluster
        self._guard = guard
        self._workflows = workflows

    async def suspend(
        self, name: str, caller: Caller, condition: IfMatch | None = None, *, suspend: bool
    ) -> WorkflowUpdated:
        """Pause a workflow's schedule, or let it go on; idempotent, whatever else is in the spec."""
        operation = Operation.PAUSE_WORKFLOW if suspend else Operation.RESUME_WORKFLOW

        async def write(entry: WorkflowEntry) -> None:
            metadata: dict[str, Any] = {
                "annotations": {names.ANNOTATION_UPDATED_AT: clock.to_wire(clock.utcnow())}
            }
            if condition is not None:
                metadata["resourceVersion"] = entry.view.metadata.resource_version
            patch = {"metadata": metadata, "spec": {"suspend": suspend}}
            view = await self._store.patch(WORKFLOWS, *entry.view.metadata.key, patch, WorkflowView)
            self._cluster.cache_workflow(view)
            generation = of_generation(view.metadata.generation)
            trail.changed(trail.of_workflow(view), generation, entry.view.spec, view.spec)

        entry = await self._guard.workflow(name, caller, operation)
        changes = self._workflows.changes
        entry = await changes.change(entry, condition, changes.check_of(caller, operation), write)
        log.info("%s %s workflow %s", caller, "paused" if suspend else "resumed", name)
        return self._guard.ids.shown(presenter.updated(entry), entry.order[1])

    async def clone(
        self, name: str, asked: WorkflowClone, caller: Caller, key: str | None = None
    ) -> Made[WorkflowCreated]:
        """Create a workflow like another; one with a schedule is paused, or both would run.

        It is created in a namespace that is named, else in that of the other, else in the caller's.
        """
        entry = await self._guard.workflow(name, caller, Operation.CLONE_WORKFLOW)
        place = await self._place_of_copy(entry, asked.namespace, caller)
        claim = claim_of(key, caller, asked.model_dump(), "clone", entry.view.metadata.uid)
        if claim and (earlier := await self._workflows.made_earlier(place, claim)):
            return earlier
        spec: dict[str, Any] = {**entry.view.spec}
        spec["displayName"] = asked.name or f"Copy of {entry.name}"[:_MAX_NAME]
        if (spec.get("config") or {}).get("schedule"):
            spec["suspend"] = True
        return await self._workflows.create_from_spec(place, spec, caller, claim=claim)

    async def _place_of_copy(self, entry: WorkflowEntry, namespace: str | None, caller: Caller) -> str:
        if namespace is None:
            with suppress(NotAllowed):
                return await self._guard.creates_in(entry.view.metadata.namespace, caller)
        return await self._guard.creates_in(namespace, caller)

    async def export(self, name: str, caller: Caller) -> str:
        """The workflow's manifest as YAML."""
        entry = await self._guard.workflow(name, caller, Operation.EXPORT_WORKFLOW)
        return manifests.to_yaml(manifests.manifest_of(entry.view))

    async def import_(
        self, manifest: Mapping[str, Any], caller: Caller, key: str | None = None
    ) -> Made[WorkflowCreated]:
        """Create a workflow from a manifest, under its name if it has one.

        Raises:
            Invalid: With pointers into the manifest.
            AlreadyExists: There is a workflow of that name.
        """
        name, namespace, body, found = manifests.read_manifest(manifest)
        if found:
            raise Invalid(found)
        claim = claim_of(key, caller, manifest, "import")
        try:
            place = await self._guard.creates_in(namespace, caller)
            if claim and (earlier := await self._workflows.made_earlier(place, claim, name)):
                return earlier
            return await self._workflows.create_as(place, name, body, caller, claim)
        except Invalid as error:
            raise Invalid(manifests.in_manifest(error.fields)) from error
        except AlreadyExists as error:
            if name is None:
                raise
            raise AlreadyExists(
                f"there is a workflow {name!r} already; delete it first, or leave out metadata.name, and the "
                "import gets a name of its own"
            ) from error
