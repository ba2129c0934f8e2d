"""Changes of workflows: by whoever may, to what they are now, and to the versions that a condition allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.http.conditions import IfMatch
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.workflows.versions import allowed, outdated
from nightcrawler_crds.errors import Conflict, NotFound

Write = Callable[[WorkflowEntry], Awaitable[None]]

_TRIES: Final = 5


class Changes:
    """Changes workflows, again if they were changed meanwhile."""

    def __init__(self, cluster: ClusterCache, guard: Guard) -> None:
        self._cluster = cluster
        self._guard = guard

    async def change(
        self,
        id_: str,
        caller: Caller,
        operation: Operation,
        condition: IfMatch | None,
        write: Write,
    ) -> WorkflowEntry:
        """Write to a workflow as it is now, if a condition allows it; again if it was changed meanwhile.

        Args:
            id_: The workflow's id.
            caller: Who changes it.
            operation: What is done, by which it is decided whether the caller may.
            condition: The versions that may be changed; None for any.
            write: Raises `Conflict` if the workflow is not as in this entry any more.

        Returns:
            The workflow after the change.
        """
        entry = await self._guard.workflow(id_, caller, operation)
        if not allowed(entry.view, condition):
            # Another replica may have made the change that the caller has seen.
            entry = await self.refreshed(entry, caller, operation, condition)
        await self.written(entry, caller, operation, condition, write)
        return self._cluster.entry(entry)

    async def written(
        self,
        entry: WorkflowEntry,
        caller: Caller,
        operation: Operation,
        condition: IfMatch | None,
        write: Write,
    ) -> None:
        """Write to a workflow, as `change` does."""
        for attempt in range(_TRIES):
            try:
                await write(entry)
                break
            except Conflict as error:
                if attempt == _TRIES - 1:
                    id_ = self._guard.ids.of(*entry.view.metadata.key)
                    raise Conflict(
                        f"the workflow {id_!r} keeps being changed by others; try again later"
                    ) from error
                entry = await self.refreshed(entry, caller, operation, condition)

    async def refreshed(
        self, entry: WorkflowEntry, caller: Caller, operation: Operation, condition: IfMatch | None
    ) -> WorkflowEntry:
        """A workflow as the API server has it, if the caller may still do that, and to this version."""
        id_ = self._guard.ids.of(*entry.view.metadata.key)
        try:
            entry = await self._cluster.refresh_workflow(entry)
        except NotFound:
            self._cluster.mark_workflow_deleted(entry.view)
            raise gone(id_) from None
        await self._guard.check(entry, caller, (operation.access,), operation.verb)
        if not allowed(entry.view, condition):
            raise outdated(entry.view, id_)
        return entry


def gone(id_: str) -> NotFound:
    """That there is no workflow with this id any more."""
    return NotFound(f"there is no workflow {id_!r} any more")
