"""Notes on executions that have ended: which duties the facade has done; the operator takes it from there."""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakValueDictionary

from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds.errors import Conflict, NotFound
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import ANNOTATION_DUTIES_DONE, EXECUTIONS

ARCHIVE: Final = "Archive"
LOGS: Final = "Logs"


def owes(execution: ExecutionView, duty: str) -> bool:
    """Whether an execution waits for a duty of the facade, and that is not noted yet."""
    status = execution.status
    return (
        status.settled is False
        and duty in (status.duties or ())
        and duty not in execution.metadata.annotations.done_duties
    )


class Notes:
    """Writes notes, guarded by the resourceVersion: several duties of a run may be done at the same time."""

    def __init__(self, store: Store, cluster: ClusterCache) -> None:
        self._store = store
        self._cluster = cluster
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def note(self, execution: ExecutionView, duty: str) -> None:
        """Note that a duty is done, if the execution waits for it; raises `ApiError` if that fails."""
        meta = execution.metadata
        turn = self._turns.setdefault(meta.uid, asyncio.Lock())
        async with turn:
            latest = self._cluster.index.runs.get(*meta.key) or execution
            try:
                await self._note(meta.uid, latest, duty)
            except Conflict:
                latest = await self._store.get(EXECUTIONS, meta.namespace, meta.name, ExecutionView)
                await self._note(meta.uid, latest, duty)
            except NotFound:
                return

    async def _note(self, uid: str, latest: ExecutionView, duty: str) -> None:
        meta = latest.metadata
        if meta.uid != uid or not owes(latest, duty):
            return  # it was deleted, and another one has its name; or somebody else has noted it
        noted = ",".join(dict.fromkeys((*meta.annotations.done_duties, duty)))
        annotations = {ANNOTATION_DUTIES_DONE: noted}
        body = {"metadata": {"resourceVersion": meta.resource_version, "annotations": annotations}}
        written = await self._store.patch(EXECUTIONS, meta.namespace, meta.name, body, ExecutionView)
        self._cluster.cache_execution(written)
