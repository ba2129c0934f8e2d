"""Warnings in the answer to a write: what is accepted, and will not do what its author expects.

Only the operator can read the Secrets with the targets of notifications, so it is the operator's condition
that is waited for, and only where a workflow wants notifications. What nothing enforces is known at once.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import ValidationError

from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.plaintext import plain
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation import wanted_by, workflow_warnings

_PATIENCE: Final = 3.0
"""Seconds: the operator writes the status of a workflow once a second at most."""
_SILENCE: Final = 60.0
"""An operator that did not answer is not waited for again for so many seconds."""


class Warnings:
    """Waits for what the operator says of a workflow that has just been written.

    `enforced` is whether callers are identified, and so `config.security` is enforced.
    """

    def __init__(self, cluster: ClusterCache, *, enforced: bool = False) -> None:
        self._cluster = cluster
        self._enforced = enforced
        self._silent_until = float("-inf")

    async def of(self, written: WorkflowView) -> list[str]:
        """The warnings about a workflow as it was written.

        Those on notifications are left out if the operator does not answer in time.
        """
        unenforced = [] if self._enforced else _unenforced(written)
        return [*unenforced, *await self._of_notifications(written)]

    async def _of_notifications(self, written: WorkflowView) -> list[str]:
        if not wanted_by(written.spec):
            return []
        said = await self._said(written)
        if said is None or said.status != "False":
            return []
        return [f"notifications will not all be sent: {plain(said.message)}"]

    async def _said(self, written: WorkflowView) -> Condition | None:
        now = asyncio.get_running_loop().time
        answered = asyncio.Event()
        found: list[Condition] = []

        def look(change: Change[Any]) -> None:
            new = change.new
            if isinstance(new, WorkflowView) and new.metadata.uid == written.metadata.uid:
                found[:] = [said] if (said := _verdict(new, written.metadata.generation)) else []
                if found:
                    answered.set()

        unsubscribe = self._cluster.changes.subscribe(look)
        try:
            entry = self._cluster.index.workflow(written.metadata.key)
            if entry is not None and (said := _verdict(entry.view, written.metadata.generation)):
                return said
            if now() < self._silent_until:
                return None
            await asyncio.wait_for(answered.wait(), _PATIENCE)
        except TimeoutError:
            self._silent_until = now() + _SILENCE
            return None
        finally:
            unsubscribe()
        return found[0] if found else None


def _unenforced(view: WorkflowView) -> list[str]:
    try:
        return workflow_warnings(WorkflowSpec.model_validate(view.spec, extra="ignore"))
    except ValidationError:
        return []  # of a manifest that a later release understands


def _verdict(view: WorkflowView, generation: int) -> Condition | None:
    """The condition on notifications, if it is about this generation, or a later one."""
    for condition in view.status.conditions:
        if condition.type == conditions.NOTIFICATIONS_CONFIGURED and condition.status != "Unknown":
            return condition if (condition.observed_generation or 0) >= generation else None
    return None
