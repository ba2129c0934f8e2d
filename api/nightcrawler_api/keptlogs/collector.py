"""Reads the logs of steps from their nodes, and keeps them.

Of Pods that run, soon after their start and every quarter of a minute, from where the last reading ended:
the kubelet serves only the newest file of a log, 10 MiB as a rule. More often of those that write much, and
of runs that are being cancelled: their Pods go as soon as they have stopped. Of runs that have ended, at
once and to the end; then it is noted on the run, which until then keeps its Pods. What is read again after
a death is not kept twice, and what is missing is marked (`writer`, `logs.place`, `logs.beginning`). The
values of Secrets are masked before a line is kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.executions import podlogs
from nightcrawler_api.keeping.notes import Notes, owes
from nightcrawler_api.keptlogs.objects import Objects
from nightcrawler_api.keptlogs.record import ROTATED, UNFINISHED, Record, Where, limits
from nightcrawler_api.keptlogs.writer import Writer, read_record
from nightcrawler_api.logs.beginning import with_beginning
from nightcrawler_api.logs.place import Read, Reader
from nightcrawler_api.masks import Masks
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_crds import clock
from nightcrawler_crds.errors import ApiError, Forbidden, Invalid, NotFound
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.masking import Mask
from nightcrawler_crds.names import EXECUTIONS, LABEL_EXECUTION_UID, PODS, STEP_CONTAINER
from nightcrawler_crds.phases import has_ended

log = logging.getLogger(__name__)

DUTY: Final = "Logs"
PERIOD_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 5.0
"""How often the Pods that run are listed: those whose log was not read yet are read then."""
_SHORT_SECONDS: Final = 3.0
"""Most steps that are younger end before they have written much: they are read once, at their end."""
_NOISY_SECONDS: Final = 2.0
_NOISY_BYTES: Final = 1 << 20
"""Who writes more between two readings is read again soon, before the kubelet begins another file."""
_AT_ONCE: Final = 8
_COALESCE_SECONDS: Final = 0.3
_MOST_KNOWN: Final = 20_000
_ALL: Final = ""
"""In place of a namespace."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt of a step, and the Pod whose log it is."""

    where: Where
    pod: PodView


class Collector:
    """Reads and keeps logs; `run` it while this process is the one that does.

    Attributes:
        problem: What keeps it from doing so, as a sentence; empty if nothing does.
        kept_bytes: How many bytes it has read and kept.
        gaps: At how many places lines were missing.
    """

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        objects: Objects,
        notes: Notes,
        masks: Masks,
        *,
        most_bytes: int,
    ) -> None:
        self.problem = ""
        self.kept_bytes = 0
        self.gaps = 0
        self.uid_of_cluster = ""
        self._store = store
        self._cluster = cluster
        self._objects = objects
        self._notes = notes
        self._masks = masks
        self._limits = limits(most_bytes)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._records: dict[Where, Record] = {}
        self._ended: dict[str, ExecutionView] = {}
        self._news = asyncio.Event()
        self._looked_at = 0.0
        self._read_at: dict[str, float] = {}
        """When the logs of Pods that run were read, by UID."""
        self._noisy: set[str] = set()
        self._cancelled: set[str] = set()
        self._denied: dict[str, Forbidden] = {}
        """Namespaces in which the facade lacks rights, which holds up no others."""

    async def run(self) -> None:
        """Keep logs until cancelled."""
        await self._cluster.wait_for_sync()
        unsubscribe = self._cluster.changes.subscribe(self._follow)
        for run in self._cluster.index.runs:
            self._take(run.view)
        try:
            while True:
                try:
                    await self._read_due()
                except (ApiError, HistoryUnavailable) as error:
                    self._report(str(error))
                    await asyncio.sleep(_NOISY_SECONDS)
                else:
                    self._report("")
                    await self._wait()
        finally:
            unsubscribe()

    async def _read_due(self) -> None:
        """Read what runs have left that have ended, and, if it is time, what others have written."""
        is_time = time.monotonic() >= self._due_at
        if is_time:
            self._denied.clear()
        await self._read_ended()
        if is_time:
            await self._read_running()
        for error in self._denied.values():
            raise error

    @property
    def _due_at(self) -> float:
        """When the Pods that run are to be looked at next."""
        return self._looked_at + (_NOISY_SECONDS if self._noisy or self._cancelled else _LOOK_SECONDS)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(max(self._due_at - time.monotonic(), 0)):
                await self._news.wait()
        except TimeoutError:
            return
        if self._due_at > time.monotonic():
            await asyncio.sleep(_COALESCE_SECONDS)

    def _follow(self, change: Change[Any]) -> None:
        if change.kind != EXECUTIONS.plural:
            return
        if change.new is not None:
            self._take(change.new)
        elif change.old is not None:
            self._ended.pop(change.old.metadata.uid, None)
            self._cancelled.discard(change.old.metadata.uid)

    def _take(self, view: ExecutionView) -> None:
        """Note what is to be done about an execution."""
        uid = view.metadata.uid
        if has_ended(view.status.phase):
            self._cancelled.discard(uid)
            if owes(view, DUTY):
                self._ended[uid] = view
                self._news.set()
        elif view.spec.cancel and uid not in self._cancelled:
            self._cancelled.add(uid)
            self._looked_at = 0.0
            self._news.set()

    # --- which Pods ----------------------------------------------------------------------------------

    async def _read_ended(self) -> None:
        """Read all that runs have left that have ended, and note it on them."""
        self._news.clear()
        ended, denied = list(self._ended.values()), set[str]()

        async def finish(view: ExecutionView) -> None:
            try:
                if await self._finish(view):
                    self._ended.pop(view.metadata.uid, None)
                    self._denied.pop(view.metadata.namespace, None)
            except Forbidden as error:
                denied.add(view.metadata.namespace)
                self._denied[view.metadata.namespace] = error

        for begin in range(0, len(ended), _AT_ONCE):
            some = ended[begin : begin + _AT_ONCE]
            await _gathered(finish(view) for view in some if view.metadata.namespace not in denied)

    async def _finish(self, view: ExecutionView) -> bool:
        """Read the rest of a run's logs; False if something cannot be read now."""
        meta = view.metadata
        selector = f"{LABEL_EXECUTION_UID}={meta.uid}"
        pods = await self._store.list_all(PODS, meta.namespace, PodView, label_selector=selector)
        attempts = self._attempts(pods)
        done = await _gathered(self._read(attempt, view) for attempt in attempts)
        if not all(done):
            return False
        there = {attempt.where for attempt in attempts}
        for where in [known for known in self._records if known.execution_uid == meta.uid]:
            record = self._records[where]
            if where not in there and not record.complete:
                # Evicted, or its node is gone: what was read before is all there is.
                await self._lose_end(where, record)
            del self._records[where]
        await self._notes.note(view, DUTY)
        return True

    async def _read_running(self) -> None:
        """Read what steps have written since, that run; of each Pod whose turn it is."""
        now = self._looked_at = time.monotonic()
        pods = [pod for some in await _gathered(map(self._running_in, self._places())) for pod in some]
        due = [
            (attempt, view)
            for attempt in self._attempts(pods)
            if self._is_kept(attempt.pod)
            and self._is_due(attempt.pod, now)
            and (view := self._execution_of(attempt.pod)) is not None
        ]
        running = {pod.metadata.uid for pod in pods}
        self._noisy &= running
        self._read_at = {uid: at for uid, at in self._read_at.items() if uid in running}
        self._read_at |= {attempt.pod.metadata.uid: now for attempt, _ in due}
        await _gathered(self._read(attempt, view) for attempt, view in due)

    def _places(self) -> Sequence[str]:
        """Where Pods may run: the namespaces with executions under way, or all where all are served."""
        if self._cluster.others is None:
            return (_ALL,)
        return sorted({run.metadata.namespace for run in self._cluster.index.runs.live()})

    async def _running_in(self, namespace: str) -> Sequence[PodView]:
        """The Pods of executions that run in a namespace, or in all that are served."""
        selector = "status.phase=Running"
        if namespace == _ALL and self._cluster.hidden:
            selector += f",metadata.namespace!={self._cluster.hidden}"
        async with self._turns:
            try:
                return await self._store.list_all(
                    PODS, namespace, PodView, label_selector=LABEL_EXECUTION_UID, field_selector=selector
                )
            except Forbidden as error:
                self._denied[namespace] = error
                return ()

    def _is_due(self, pod: PodView, now: float) -> bool:
        """Whether the log of a Pod that runs is to be read now."""
        uid = pod.metadata.uid
        if uid in self._noisy or pod.metadata.labels.execution_uid in self._cancelled:
            return True
        read_at = self._read_at.get(uid)
        if read_at is not None:
            return now - read_at >= PERIOD_SECONDS - _LOOK_SECONDS / 2
        began = podlogs.began_at(pod)
        # By the clock of its node, which may be ahead.
        return began is None or not 0 <= (clock.utcnow() - began).total_seconds() < _SHORT_SECONDS

    def _is_kept(self, pod: PodView) -> bool:
        """Whether the workflow of a Pod keeps its logs."""
        entry = self._cluster.index.workflow((pod.metadata.namespace, pod.metadata.labels.workflow))
        options = (entry.view.spec.get("options") or {}) if entry else {}
        return options.get("enableLogging") is not False

    def _execution_of(self, pod: PodView) -> ExecutionView | None:
        """The execution of a Pod, if it is known already."""
        labels = pod.metadata.labels
        found = self._cluster.index.runs.get(pod.metadata.namespace, labels.execution)
        return found if found is not None and found.metadata.uid == labels.execution_uid else None

    def _attempts(self, pods: Iterable[PodView]) -> list[_Attempt]:
        found = []
        for pod in pods:
            labels, marks = pod.metadata.labels, pod.metadata.annotations
            if labels.execution_uid and marks.step and marks.attempt_number:
                where = Where(
                    self.uid_of_cluster,
                    pod.metadata.namespace,
                    labels.execution_uid,
                    marks.step,
                    marks.attempt_number,
                )
                found.append(_Attempt(where, pod))
        return found

    # --- one Pod -------------------------------------------------------------------------------------

    async def _read(self, attempt: _Attempt, execution: ExecutionView) -> bool:
        """Read on in the log of a Pod; False if it cannot be read now, or not be masked."""
        async with self._turns:
            record = await self._record(attempt)
            if record.complete:
                return True
            complete = podlogs.has_terminated(attempt.pod)
            try:
                mask = await self._masks.of(execution)
                return await self._read_on(attempt, record, mask, complete=complete)
            except NotFound:
                return False  # it is found to be gone when it is not listed any more
            except Invalid:
                if complete and (record.written or podlogs.has_begun(attempt.pod)):
                    # It was evicted, and the kubelet has removed its containers.
                    await self._lose_end(attempt.where, record)
                # Otherwise it waits to start, or has ended without ever starting.
                return complete
            except ApiError as error:
                log.debug("the log of %s cannot be read now: %s", attempt.pod.metadata.name, error)
                return False

    async def _lose_end(self, where: Where, record: Record) -> None:
        """Note that there is no more of a log than what was read before."""
        record.complete, record.missing_end = True, UNFINISHED
        await self._writer(where, record).save()

    async def _read_on(self, attempt: _Attempt, record: Record, mask: Mask, *, complete: bool) -> bool:
        writer, before, gaps = self._writer(attempt.where, record), record.written, record.gaps
        reader = Reader(record.place)
        try:
            await self._copy(attempt.pod, reader, writer, mask, complete=complete)
            added = record.written - before
            if added or complete:
                record.complete = complete
                if complete and reader.may_lack_end:
                    record.missing_end, record.gaps = ROTATED, record.gaps + 1
                await writer.save()
        except BaseException:
            # It counts lines that are not stored: the next reading goes on from what is.
            self._records.pop(attempt.where, None)
            raise
        self.kept_bytes += added
        self.gaps += record.gaps - gaps
        if added > _NOISY_BYTES and not complete:
            self._noisy.add(attempt.pod.metadata.uid)
        else:
            self._noisy.discard(attempt.pod.metadata.uid)
        return complete

    async def _copy(
        self, pod: PodView, reader: Reader, writer: Writer, mask: Mask, *, complete: bool
    ) -> None:
        """Give the lines of a Pod's log that are new to a writer, without the values of Secrets."""
        async with self._store.log_lines(
            pod.metadata.namespace,
            pod.metadata.name,
            container=STEP_CONTAINER,
            follow=False,
            since=reader.place.since,
            unfinished=complete,
        ) as parts:
            began = podlogs.began_at(pod) if reader.place.count == 0 else None
            async for lines, late in with_beginning(parts, began):
                gap = late
                for line in lines:
                    what = reader.take(line)
                    if what is not Read.AGAIN:
                        gap = gap or what is Read.NEW_AFTER_A_GAP
                        await writer.add(mask.of_line(line), reader.place, after_gap=gap)
                        gap = False

    async def _record(self, attempt: _Attempt) -> Record:
        where, labels = attempt.where, attempt.pod.metadata.labels
        known = self._records.get(where)
        if known is None:
            known = await read_record(self._objects, where) or Record(
                where.step, where.attempt, labels.execution, labels.workflow
            )
            if len(self._records) >= _MOST_KNOWN:
                self._records.pop(next(iter(self._records)))
            self._records[where] = known
        return known

    def _writer(self, where: Where, record: Record) -> Writer:
        return Writer(self._objects, where, record, self._limits)

    def _report(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("logs cannot be kept: %s", problem)
        elif self.problem and not problem:
            log.info("logs can be kept again")
        self.problem = problem


async def _gathered(work: Iterable[Any]) -> Sequence[Any]:
    """The results of all, in order; the first error, once all have ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
