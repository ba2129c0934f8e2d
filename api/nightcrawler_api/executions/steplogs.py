"""Logs of steps, from where they are: kept, or still with their Pods.

A log that is kept to its end, or whose end is lost, is read from the store, also while its Pod is there, so
that it is the same before and after the Pod is gone. Any other is read from its Pod; if that is gone or
cannot be read, what is kept of it. In both the values of Secrets are masked: in kept ones since they were
written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, TypeGuard

from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.executions import podlogs
from nightcrawler_api.executions.podlogs import MAX_BYTES, MAX_BYTES_OF_STEP, MAX_LINES, StepLog
from nightcrawler_api.keptlogs.contract import LogHistory
from nightcrawler_api.keptlogs.reader import KeptLog
from nightcrawler_api.keptlogs.record import UNFINISHED
from nightcrawler_api.masks import Masks
from nightcrawler_crds.errors import ApiError
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView

_WITHOUT_LOG: Final = frozenset((podlogs.GONE, podlogs.NEVER))


class StepLogs:
    """The logs of executions."""

    def __init__(self, store: Store, kept: LogHistory | None, masks: Masks) -> None:
        self._store = store
        self._kept = kept
        self._masks = masks

    async def of_steps(
        self, execution: ExecutionView, steps: Sequence[str], *, in_cluster: bool
    ) -> dict[str, StepLog]:
        """The last lines of the last attempt of each step, and why they are missing or not all."""
        share = min(MAX_BYTES_OF_STEP, MAX_BYTES // max(len(steps), 1))
        kept = dict(
            zip(
                steps,
                await asyncio.gather(*(self._find_last(execution, step) for step in steps)),
                strict=True,
            )
        )
        found: dict[str, StepLog] = {}
        from_pods = [step for step in steps if in_cluster and not is_final(kept[step])]
        if from_pods:
            found = await self._of_pods(execution, from_pods)
        return {step: await self._or_kept(found.get(step), kept[step], share) for step in steps}

    async def of_attempt(
        self, execution: ExecutionView, step: str, attempt: int, *, in_cluster: bool
    ) -> StepLog:
        """The last lines of one attempt, and why they are missing or not all."""
        kept = await self.find(execution, step, attempt)
        found = None
        if in_cluster and not is_final(kept):
            found = await self._of_pod(execution, step, attempt)
        return await self._or_kept(found, kept, MAX_BYTES_OF_STEP)

    async def _of_pods(self, execution: ExecutionView, steps: Sequence[str]) -> dict[str, StepLog]:
        try:
            mask = await self._masks.of(execution)
        except ApiError as error:
            return dict.fromkeys(steps, ((), str(error)))
        return await podlogs.read_logs(self._store, execution, steps, mask)

    async def _of_pod(self, execution: ExecutionView, step: str, attempt: int) -> StepLog:
        try:
            mask = await self._masks.of(execution)
        except ApiError as error:
            return (), str(error)
        return await podlogs.read_attempt(self._store, execution, step, attempt, mask)

    async def find(
        self, execution: ExecutionView, step: str, attempt: int
    ) -> KeptLog | HistoryUnavailable | None:
        """What is kept of an attempt's log; the error, if the store cannot be read now."""
        if self._kept is None:
            return None
        try:
            meta = execution.metadata
            return await self._kept.find(meta.namespace, meta.uid, step, attempt)
        except HistoryUnavailable as error:
            return error

    async def _find_last(self, execution: ExecutionView, step: str) -> KeptLog | HistoryUnavailable | None:
        recorded = execution.status.steps.get(step)
        return await self.find(execution, step, max(recorded.attempt, 1) if recorded else 1)

    async def _or_kept(
        self, found: StepLog | None, kept: KeptLog | HistoryUnavailable | None, most_bytes: int
    ) -> StepLog:
        """What was found at a Pod; what is kept, if there was none, or it cannot be read."""
        lines, why = found if found is not None else podlogs.NO_LOG
        if why in _WITHOUT_LOG and not lines:
            return await self._shown(kept, most_bytes)
        if why and not lines and isinstance(kept, KeptLog):
            return (await self._shown(kept, most_bytes))[0], why
        return lines, why

    async def _shown(self, kept: KeptLog | HistoryUnavailable | None, most_bytes: int) -> StepLog:
        if kept is None:
            return podlogs.NO_LOG
        if isinstance(kept, HistoryUnavailable):
            return (), kept.detail
        try:
            lines, whole = await kept.last_lines(MAX_LINES, most_bytes)
        except HistoryUnavailable as error:
            return (), error.detail
        why = "" if whole else f"only the last {most_bytes // 1024} KiB of this log are shown"
        return lines, "; ".join(filter(None, (why, missing_end(kept))))


def missing_end(kept: KeptLog) -> str:
    """Why the end of a kept log is missing, or may be; empty if it is not."""
    return kept.record.missing_end if kept.record.complete else UNFINISHED


def is_final(kept: KeptLog | HistoryUnavailable | None) -> TypeGuard[KeptLog]:
    """Whether nothing will be added to a kept log any more, because it is whole or its end is lost."""
    return isinstance(kept, KeptLog) and kept.record.complete
