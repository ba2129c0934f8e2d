"""Use cases of logs: show, download, follow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
from fastapi.sse import format_sse_event

from nightcrawler_api.archive.contract import History
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.executions import podlogs
from nightcrawler_api.executions.finding import Finder
from nightcrawler_api.executions.loglines import parse_line
from nightcrawler_api.executions.podlogs import has_terminated
from nightcrawler_api.executions.steplogs import StepLogs, is_final, missing_end
from nightcrawler_api.keptlogs.reader import KeptLog
from nightcrawler_api.keptlogs.record import GAP, ROTATED, mark_of
from nightcrawler_api.logs.place import Place, Read, Reader, stamp_of
from nightcrawler_api.logs.schemas import StepLog
from nightcrawler_api.masks import Masks
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_crds.errors import ApiError, Invalid, NotFound
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.masking import NOTHING_HIDDEN, Mask
from nightcrawler_crds.names import STEP_CONTAINER
from nightcrawler_crds.phases import has_ended
from nightcrawler_crds.plaintext import plain_line
from nightcrawler_crds.v1alpha1.execution import TERMINAL_STEP_PHASES

log = logging.getLogger(__name__)

END: Final = "end"
"""The id of the last event: who has it need not connect again."""
_AGAIN_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 5.0
"""How often a Pod is looked for that no change has announced."""
_MOST_FAILURES: Final = 10
_NANO: Final = 10**9


class LogService:
    """Logs of steps, read from their Pods, and from where they are kept."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        guard: Guard,
        masks: Masks,
        logs: StepLogs,
        history: History | None = None,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._guard = guard
        self._masks = masks
        self._logs = logs
        self._finder = Finder(cluster, guard, history)

    async def attempt(self, workflow: str, name: str, step: str, attempt: int | None, caller: Caller) -> int:
        """The attempt that is asked for, else the last; raises `NotFound` for unknown steps."""
        entry, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_LOG)
        execution = found.view
        recorded = execution.status.steps.get(step)
        if recorded is None and all(one["name"] != step for one in entry.view.spec.get("steps") or ()):
            raise NotFound(f"the execution {name!r} has no step {step!r}")
        last = max(recorded.attempt, 1) if recorded else 1
        if attempt is not None and attempt > last and _is_over(execution, step):
            raise NotFound(f"the step {step!r} has had {last} attempt(s), and will have no other")
        return last if attempt is None else attempt

    async def show(self, workflow: str, name: str, step: str, attempt: int, caller: Caller) -> StepLog:
        """The last lines of an attempt's log."""
        _, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_LOG)
        in_cluster = found.row is None
        lines, why = await self._logs.of_attempt(found.view, step, attempt, in_cluster=in_cluster)
        shown: StepLog = {"executionId": name, "step": step, "attempt": attempt, "logs": list(lines)}
        if why:
            shown["logsMessage"] = why
        return shown

    async def text(
        self, workflow: str, name: str, step: str, attempt: int, caller: Caller
    ) -> AsyncGenerator[bytes, None]:
        """All lines of an attempt's log that are kept, or that its node still has, without timestamps.

        Raises:
            NotFound: There is neither a kept log nor a Pod of this attempt.
            ApiError: The Secrets whose values are masked in it cannot be read.
        """
        _, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_LOG)
        kept = await self._logs.find(found.view, step, attempt)
        pod = None
        if found.row is None and not is_final(kept):
            pod = await podlogs.pod_of_attempt(self._store, found.view, step, attempt)
        if pod is not None:
            return self._text(pod, await self._masks.of(found.view), kept)
        if isinstance(kept, KeptLog):
            return self._kept_text(kept)
        if kept is not None:
            raise kept
        gone = found.row is not None
        raise NotFound(podlogs.GONE if gone else podlogs.why_no_pod(found.view.status.steps.get(step)))

    async def _kept_text(self, kept: KeptLog) -> AsyncGenerator[bytes, None]:
        # The values of Secrets were masked before it was kept.
        async for lines in kept.lines():
            yield b"".join(map(_plain_or_mark, lines))
        if sentence := missing_end(kept):
            yield _shown_mark(sentence)

    async def _text(
        self, pod: PodView, mask: Mask, kept: KeptLog | HistoryUnavailable | None
    ) -> AsyncGenerator[bytes, None]:
        meta = pod.metadata
        try:
            async with self._store.log_lines(
                meta.namespace, meta.name, container=STEP_CONTAINER, follow=False
            ) as parts:
                async for lines in parts:
                    yield b"".join(_plain(line, mask) for line in lines)
        except Invalid:
            # It waits to start, so there is nothing yet; or was evicted, and its containers are removed.
            if isinstance(kept, KeptLog):
                async for part in self._kept_text(kept):
                    yield part

    async def follow(
        self, workflow: str, name: str, step: str, begin: Place, caller: Caller, *, only: bool
    ) -> AsyncGenerator[bytes, None]:
        """Events with the lines of a log from a place on; then of the next attempts, unless `only` this one.

        `log` has a line and its attempt, `gap` says that lines may be missing, `end` that nothing follows.
        """
        entry, found = await self._finder.of_workflow(workflow, name, caller, Operation.SHOW_LOG)
        if found.row is not None:
            async for events in self._follow_kept(found.view, step, begin, only=only):
                yield events
            return
        place, failures = begin, 0
        with _Changes(self._cluster, found.view) as changes:
            while True:
                execution, gone = changes.execution, changes.gone
                recorded, failure = execution.status.steps.get(step), None
                reading = _Reading(place)
                try:
                    async for events in self._read_attempt(execution, step, reading):
                        # A log may be followed for hours, and rights be taken away meanwhile.
                        if not await self._guard.still(entry, caller, Operation.SHOW_LOG):
                            return
                        yield events
                    failures = 0
                except (ApiError, HistoryUnavailable) as error:
                    # It has not started yet, its node or the API server cannot be reached, or it is gone.
                    failure, failures = str(error), failures + 1
                    log.debug("the followed log of %s: %s", name, error)
                place, complete = reading.place, reading.complete
                over = gone or _is_over(execution, step)
                later = recorded is not None and recorded.attempt > place.attempt
                if failure and not (over and failures > _MOST_FAILURES):
                    await changes.wait(_AGAIN_SECONDS)
                elif reading.has_pod and not complete and not failure:
                    continue  # its container has terminated now
                elif later and not only:
                    if detail := reading.missing_end or ("" if complete else podlogs.GONE):
                        yield _event("gap", {"attempt": place.attempt, "detail": detail}, None)
                    place = Place(place.attempt + 1)
                elif over or later or (complete and only):
                    why = "" if complete else failure or podlogs.why_no_pod(recorded)
                    detail = reading.missing_end or why
                    yield _event("end", {"attempt": place.attempt, "detail": detail}, END)
                    return
                else:
                    await changes.wait(_LOOK_SECONDS)

    async def _read_attempt(
        self, execution: ExecutionView, step: str, reading: _Reading
    ) -> AsyncGenerator[bytes, None]:
        """Events with the lines of an attempt after a place, from its Pod, else from what is kept."""
        pod = await podlogs.pod_of_attempt(self._store, execution, step, reading.place.attempt)
        reader, kept = Reader(reading.place), None
        if pod is None or has_terminated(pod):
            kept = await self._logs.find(execution, step, reading.place.attempt)
        if pod is not None and not is_final(kept):
            reading.has_pod, reading.complete = True, has_terminated(pod)
            mask = await self._masks.of(execution)
            async for events in self._read(pod, reader, mask, follow=not reading.complete):
                reading.place = reader.place
                yield events
            reading.missing_end = ROTATED if reading.complete and reader.may_lack_end else ""
            return
        if isinstance(kept, KeptLog):
            async for events in _read_kept(kept, reader):
                reading.place = reader.place
                yield events
            reading.complete, reading.missing_end = is_final(kept), missing_end(kept)

    async def _follow_kept(
        self, execution: ExecutionView, step: str, begin: Place, *, only: bool
    ) -> AsyncGenerator[bytes, None]:
        """The same of an execution that only the archive has."""
        recorded = execution.status.steps.get(step)
        last = begin.attempt if only or recorded is None else max(recorded.attempt, begin.attempt)
        place, detail = begin, podlogs.GONE
        for attempt in range(begin.attempt, last + 1):
            kept = await self._logs.find(execution, step, attempt)
            if isinstance(kept, KeptLog):
                reader = Reader(place if attempt == begin.attempt else Place(attempt))
                async for events in _read_kept(kept, reader):
                    yield events
                detail = missing_end(kept)
            else:
                detail = podlogs.GONE if kept is None else kept.detail
                if attempt < last:
                    yield _event("gap", {"attempt": attempt, "detail": detail}, None)
        yield _event("end", {"attempt": last, "detail": detail}, END)

    async def _read(
        self, pod: PodView, reader: Reader, mask: Mask, *, follow: bool
    ) -> AsyncGenerator[bytes, None]:
        """The new lines of a Pod's log as events."""
        meta, since = pod.metadata, reader.place.since
        async with self._store.log_lines(
            meta.namespace, meta.name, container=STEP_CONTAINER, follow=follow, since=since
        ) as parts:
            async for lines in parts:
                if events := b"".join(_events(reader, lines, mask)):
                    yield events


@dataclass(slots=True)
class _Reading:
    """How far a follower is, whether there was a Pod at its last look, and whether nothing more will come.

    `missing_end` is why what it has not got is missing, or may be.
    """

    place: Place
    has_pod: bool = False
    complete: bool = False
    missing_end: str = ""


class _Changes:
    """The current state of one execution, and waiting for the next."""

    def __init__(self, cluster: ClusterCache, execution: ExecutionView) -> None:
        self.execution = execution
        self.gone = False
        self._news = asyncio.Event()
        self._hub = cluster.changes

    def __enter__(self) -> Self:
        self._unsubscribe = self._hub.subscribe(self._follow)
        return self

    def __exit__(self, *_: object) -> None:
        self._unsubscribe()

    async def wait(self, seconds: float) -> None:
        """Wait for a change, or for some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _follow(self, change: Change[Any]) -> None:
        view = change.new or change.old
        if view is not None and view.metadata.uid == self.execution.metadata.uid:
            self.execution, self.gone = view, change.new is None
            self._news.set()


def _is_over(execution: ExecutionView, step: str) -> bool:
    """Whether a step has no further attempt."""
    recorded = execution.status.steps.get(step)
    return has_ended(execution.status.phase) or (
        recorded is not None and recorded.phase in TERMINAL_STEP_PHASES
    )


def _events(reader: Reader, lines: Iterable[bytes], mask: Mask = NOTHING_HIDDEN) -> list[bytes]:
    found = []
    for line in lines:
        what = reader.take(line)
        if what is Read.AGAIN:
            continue
        place = reader.place
        if what is Read.NEW_AFTER_A_GAP:
            found.append(_event("gap", {"attempt": place.attempt, "detail": GAP}, None))
        shown = {**parse_line(line.decode(errors="replace"), mask), "attempt": place.attempt}
        found.append(_event("log", shown, str(place)))
    return found


async def _read_kept(kept: KeptLog, reader: Reader) -> AsyncGenerator[bytes, None]:
    """The lines of a kept log that come after the reader's place, as events."""
    since = reader.place.second * _NANO
    mark: str | None = None
    async for lines in kept.lines():
        found: list[bytes] = []
        for line in lines:
            if (sentence := mark_of(line)) is not None:
                mark = sentence
            elif (stamp_of(line) or since) >= since and (new := _events(reader, [line])):
                if mark is not None:
                    found.append(_event("gap", {"attempt": reader.place.attempt, "detail": mark}, None))
                found += new
                mark = None
            else:
                mark = None  # it was there before the place
        if found:
            yield b"".join(found)


def _event(name: str, data: Any, id_: str | None) -> bytes:
    return format_sse_event(event=name, data_str=msgspec.json.encode(data).decode(), id=id_)


def _plain_or_mark(line: bytes) -> bytes:
    mark = mark_of(line)
    return _plain(line) if mark is None else _shown_mark(mark)


def _shown_mark(sentence: str) -> bytes:
    return f"[{sentence}]\n".encode()


def _plain(line: bytes, mask: Mask = NOTHING_HIDDEN) -> bytes:
    _, _, text = line.decode(errors="replace").partition(" ")
    return f"{mask(plain_line(text))}\n".encode()
