"""Changes of workflows: permission, then the precondition, then the write to the current version."""

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

Check = Callable[[WorkflowEntry], Awaitable[None]]
"""Raises what `Guard.check` raises if the caller may not change the workflow, as it is in this entry."""

Write = Callable[[WorkflowEntry], Awaitable[None]]
"""Raises `Conflict` if the workflow is not as in this entry any more."""

_TRIES: Final = 5


class Changes:
    """Changes workflows, again if they were changed meanwhile."""

    def __init__(self, cluster: ClusterCache, guard: Guard) -> None:
        self._cluster = cluster
        self._guard = guard

    def check_of(self, caller: Caller, operation: Operation) -> Check:
        """The check of an operation that takes the same whatever the workflow is."""

        async def check(entry: WorkflowEntry) -> None:
            await self._guard.check(entry, caller, (operation.access,), operation.verb)

        return check

    async def change(
        self, entry: WorkflowEntry, condition: IfMatch | None, check: Check, write: Write
    ) -> WorkflowEntry:
        """Write to a workflow, if a condition allows it; again if it was changed meanwhile.

        Args:
            entry: The workflow, of which it is known that the caller sees it.
            condition: The versions that may be changed; None for any.
            check: Whether the caller may change it, before they learn that it has another version.
            write: Writes to it.

        Returns:
            The workflow after the change.

        Raises:
            Outdated: The condition does not allow it.
            NotFound: The workflow is gone.
        """
        if not allowed(entry.view, condition):
            # Another replica may have made the change that the caller has seen.
            entry = await self.refreshed(entry, condition, check)
        await self.written(entry, condition, check, write)
        return self._cluster.entry(entry)

    async def written(
        self, entry: WorkflowEntry, condition: IfMatch | None, check: Check, write: Write
    ) -> None:
        """Write to a workflow whose version is allowed, as `change` does."""
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
                entry = await self.refreshed(entry, condition, check)

    async def refreshed(self, entry: WorkflowEntry, condition: IfMatch | None, check: Check) -> WorkflowEntry:
        """A workflow as the API server has it, if the caller may still change it, and this version of it."""
        id_ = self._guard.ids.of(*entry.view.metadata.key)
        try:
            entry = await self._cluster.refresh_workflow(entry)
        except NotFound:
            self._cluster.mark_workflow_deleted(entry.view)
            raise gone(id_) from None
        await check(entry)
        if not allowed(entry.view, condition):
            raise outdated(entry.view, id_)
        return entry


def gone(id_: str) -> NotFound:
    """That there is no workflow with this id any more."""
    return NotFound(f"there is no workflow {id_!r} any more")
