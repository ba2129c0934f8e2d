"""What earlier runs did: ControllerRevisions of the cluster, and those that only the archive has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from nightcrawler_api.archive.contract import ArchivedRevision, History
from nightcrawler_api.errors import StateConflict
from nightcrawler_api.executions.requests import owner_reference
from nightcrawler_crds import names
from nightcrawler_crds.errors import AlreadyExists, ApiError, NotFound
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import REVISIONS
from nightcrawler_crds.v1alpha1 import WorkflowSpec


class Revisions:
    """Finds revisions, and puts that of a run that is to be repeated back into the cluster if need be."""

    def __init__(self, store: Store, history: History | None) -> None:
        self._store = store
        self._history = history

    async def content(self, namespace: str, revision: str) -> Mapping[str, Any]:
        """The content of a revision, from the cluster or else from the archive.

        Raises:
            ApiError: The cluster does not have it, or cannot be read, and the archive does not have it.
            HistoryUnavailable: The archive would have to be read, and cannot be.
        """
        try:
            return (await self._store.get(REVISIONS, namespace, revision, RevisionView)).data
        except ApiError:
            found = await self._archived(namespace, revision)
            if found is None:
                raise
        return found.data

    async def spec_of(self, workflow: WorkflowView, earlier: ExecutionView) -> WorkflowSpec:
        """What an earlier run did; the cluster has its revision then, as a run of it needs.

        Raises:
            StateConflict: It is not known any more, or cannot be read.
        """
        name = earlier.metadata.name
        otherwise = 'send {"revision": "latest"} to run the workflow as it is now'
        revision = earlier.status.revision
        if not revision:
            raise StateConflict(
                f"the execution {name!r} has not begun, so there is nothing to repeat; {otherwise}"
            )
        try:
            return WorkflowSpec.model_validate(await self._data(workflow, revision), extra="ignore")
        except (NotFound, ValidationError) as error:
            raise StateConflict(
                f"the revision {revision!r} that the execution {name!r} ran is gone or unreadable; "
                f"{otherwise}"
            ) from error

    async def keep(self, workflow: WorkflowView, revision: str) -> None:
        """See to it that a revision is there after a run has been created that uses it.

        The operator deletes those that no run uses, and may just have done so.
        """
        try:
            await self._data(workflow, revision)
        except NotFound:
            return  # the run says what is missing

    async def _data(self, workflow: WorkflowView, revision: str) -> Mapping[str, Any]:
        namespace = workflow.metadata.namespace
        try:
            return (await self._store.get(REVISIONS, namespace, revision, RevisionView)).data
        except NotFound:
            found = await self._archived(namespace, revision)
            if found is None:
                raise
        with suppress(AlreadyExists):  # somebody else repeats a run of it
            await self._store.create(REVISIONS, namespace, _manifest(workflow, found), RevisionView)
        return found.data

    async def _archived(self, namespace: str, revision: str) -> ArchivedRevision | None:
        return await self._history.revision(namespace, revision) if self._history is not None else None


def _manifest(workflow: WorkflowView, revision: ArchivedRevision) -> dict[str, Any]:
    return {
        "apiVersion": REVISIONS.api_version,
        "kind": REVISIONS.kind,
        "metadata": {
            "name": revision.name,
            "labels": {names.LABEL_WORKFLOW: workflow.metadata.name},
            "ownerReferences": [owner_reference(workflow)],
        },
        "revision": max(1, revision.generation),
        "data": revision.data,
    }
