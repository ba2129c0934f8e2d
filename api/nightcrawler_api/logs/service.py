"""Use cases of logs: show, download, follow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Any, Final, Self

import msgspec
from fastapi.sse import format_sse_event

from nightcrawler_api.archive.contract import History
from nightcrawler_api.caller import Caller
from nightcrawler_api.executions import podlogs
from nightcrawler_api.executions.finding import Finder
from nightcrawler_api.executions.loglines import parse_line
from nightcrawler_api.executions.podlogs import has_terminated
from nightcrawler_api.logs.place import Place, Read, Reader
from nightcrawler_api.logs.schemas import StepLog
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.hub import Change
from nightcrawler_crds.errors import ApiError, Invalid, NotFound
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
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
_GAP: Final = "lines may be missing here: the node keeps only the newest part of a long log"


class LogService:
    """Logs of steps, read from their Pods."""

    def __init__(self, store: Store, cluster: ClusterCache, history: History | None = None) -> None:
        self._store = store
        self._cluster = cluster
        self._finder = Finder(cluster, history)

    async def attempt(self, workflow: str, name: str, step: str, attempt: int | None, caller: Caller) -> int:
        """The attempt that is asked for, else the last; raises `NotFound` for unknown steps."""
        entry, found = await self._finder.of_workflow(workflow, name)
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
        _, found = await self._finder.of_workflow(workflow, name)
        if found.row is not None:
            lines, why = podlogs.NO_LOG
        else:
            lines, why = await podlogs.read_attempt(self._store, found.view, step, attempt)
        shown: StepLog = {"executionId": name, "step": step, "attempt": attempt, "logs": list(lines)}
        if why:
            shown["logsMessage"] = why
        return shown

    async def text(
        self, workflow: str, name: str, step: str, attempt: int, caller: Caller
    ) -> AsyncGenerator[bytes, None]:
        """All lines of an attempt's log that its node still has, without timestamps.

        Raises:
            NotFound: There is no Pod of this attempt, or no longer.
        """
        _, found = await self._finder.of_workflow(workflow, name)
        if found.row is not None:
            raise NotFound(podlogs.GONE)
        pod = await podlogs.pod_of_attempt(self._store, found.view, step, attempt)
        if pod is None:
            raise NotFound(podlogs.why_no_pod(found.view.status.steps.get(step)))
        return self._text(pod)

    async def _text(self, pod: PodView) -> AsyncGenerator[bytes, None]:
        meta = pod.metadata
        with suppress(Invalid):  # it waits to start, so there is nothing yet
            async with self._store.log_lines(
                meta.namespace, meta.name, container=STEP_CONTAINER, follow=False
            ) as parts:
                async for lines in parts:
                    yield b"".join(_plain(line) for line in lines)

    async def follow(
        self, workflow: str, name: str, step: str, begin: Place, caller: Caller, *, only: bool
    ) -> AsyncGenerator[bytes, None]:
        """Events with the lines of a log from a place on; then of the next attempts, unless `only` this one.

        `log` has a line and its attempt, `gap` says that lines may be missing, `end` that nothing follows.
        """
        _, found = await self._finder.of_workflow(workflow, name)
        if found.row is not None:
            yield _event("end", {"attempt": begin.attempt, "detail": podlogs.GONE}, END)
            return
        execution = found.view
        place, failures = begin, 0
        with _Changes(self._cluster, execution) as changes:
            while True:
                execution, gone = changes.execution, changes.gone
                recorded, failure = execution.status.steps.get(step), None
                complete, pod = False, None
                try:
                    pod = await podlogs.pod_of_attempt(self._store, execution, step, place.attempt)
                    if pod is not None:
                        complete = has_terminated(pod)
                        reader = Reader(place)
                        async for events in self._read(pod, reader, place.since, follow=not complete):
                            place = reader.place
                            yield events
                    failures = 0
                except ApiError as error:
                    # It has not started yet, its node or the API server cannot be reached, or it is gone.
                    failure, failures = str(error), failures + 1
                    log.debug("the followed log of %s: %s", name, error)
                over = gone or _is_over(execution, step)
                later = recorded is not None and recorded.attempt > place.attempt
                if failure and not (over and failures > _MOST_FAILURES):
                    await changes.wait(_AGAIN_SECONDS)
                elif pod is not None and not complete and not failure:
                    continue  # its container has terminated now
                elif later and not only:
                    if not complete:
                        yield _event("gap", {"attempt": place.attempt, "detail": podlogs.GONE}, None)
                    place = Place(place.attempt + 1)
                elif over or later or (complete and only):
                    detail = "" if complete else failure or podlogs.why_no_pod(recorded)
                    yield _event("end", {"attempt": place.attempt, "detail": detail}, END)
                    return
                else:
                    await changes.wait(_LOOK_SECONDS)

    async def _read(
        self, pod: PodView, reader: Reader, since: str | None, *, follow: bool
    ) -> AsyncGenerator[bytes, None]:
        """The new lines of a Pod's log as events."""
        meta = pod.metadata
        async with self._store.log_lines(
            meta.namespace, meta.name, container=STEP_CONTAINER, follow=follow, since=since
        ) as parts:
            async for lines in parts:
                if events := b"".join(_events(reader, lines)):
                    yield events


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


def _events(reader: Reader, lines: Iterable[bytes]) -> list[bytes]:
    found = []
    for line in lines:
        what = reader.take(line)
        if what is Read.AGAIN:
            continue
        place = reader.place
        if what is Read.NEW_AFTER_A_GAP:
            found.append(_event("gap", {"attempt": place.attempt, "detail": _GAP}, None))
        shown = {**parse_line(line.decode(errors="replace")), "attempt": place.attempt}
        found.append(_event("log", shown, str(place)))
    return found


def _event(name: str, data: Any, id_: str | None) -> bytes:
    return format_sse_event(event=name, data_str=msgspec.json.encode(data).decode(), id=id_)


def _plain(line: bytes) -> bytes:
    _, _, text = line.decode(errors="replace").partition(" ")
    return f"{plain_line(text)}\n".encode()
