"""Watches runs and Pods for the tracker, and injects the faults: fails, deletes and cancels some."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import msgspec

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.store import Store
from tests.bench.engines import NAMESPACE, Meta
from tests.bench.kubelet import end_pod
from tests.bench.soak.kinds import Fault
from tests.bench.soak.tracker import PodSeen, RunTracker

_TRIES: Final = 5


class _PodMeta(Meta, frozen=True, gc=False):
    deletion_timestamp: str | None = None


class _Status(msgspec.Struct, frozen=True, gc=False):
    phase: str = ""


class _Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: _PodMeta
    status: _Status = _Status()


class _Run(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    status: _Status = _Status()


Action = Literal["fail", "disrupt", "cancel", "succeed"]
_ACTIONS: Final[dict[Fault, Action]] = {
    Fault.FAIL: "fail",
    Fault.DISRUPT: "disrupt",
    Fault.CANCEL: "cancel",
}


class _Watch:
    """Passes changes to the tracker, and queues the faults to inject."""

    def __init__(self, store: Store, tracker: RunTracker) -> None:
        self._store, self._tracker = store, tracker
        self._faults: asyncio.Queue[tuple[Action, PodSeen, str]] = asyncio.Queue()

    def pod(self, old: _Pod | None, new: _Pod | None) -> None:
        seen = _seen(new or old, new)
        if seen is None:
            return
        if new is None:
            self._tracker.pod_gone(seen)
            return
        if old is None:
            self._tracker.first_sight(seen)
        self._tracker.pod(seen, time.monotonic())
        has_started = seen.phase == "Running" and (old is None or old.status.phase != "Running")
        if has_started and (action := _action(self._tracker, seen)) is not None:
            self._faults.put_nowait((action, seen, new.metadata.name))

    def run(self, old: _Run | None, new: _Run | None) -> None:
        now = time.monotonic()
        if new is not None:
            self._tracker.phase(new.metadata.name, new.status.phase, now)
        elif old is not None:
            self._tracker.run_gone(old.metadata.name, now)

    async def inject(self) -> None:
        while True:
            action, seen, name = await self._faults.get()
            await _inject(self._store, action, seen.run, name)


@asynccontextmanager
async def watching(store: Store, tracker: RunTracker) -> AsyncIterator[None]:
    """Watch all runs and Pods for the tracker from now on, and inject the faults of their kinds."""
    watch = _Watch(store, tracker)
    pods = Informer(store, names.PODS, _Pod, namespace=NAMESPACE, on_change=watch.pod)
    runs = Informer(store, names.EXECUTIONS, _Run, namespace=NAMESPACE, on_change=watch.run)
    tasks = [asyncio.create_task(work) for work in (pods.run(), runs.run(), watch.inject())]
    try:
        await asyncio.gather(pods.synced.wait(), runs.synced.wait())
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


def _seen(known: _Pod | None, new: _Pod | None) -> PodSeen | None:
    """The state of a Pod for the tracker; None if it is not the Pod of a step."""
    if known is None:
        return None
    meta = known.metadata
    run, step = meta.labels.get(names.LABEL_EXECUTION), meta.annotations.get(names.ANNOTATION_STEP)
    if not run or not step:
        return None
    return PodSeen(
        meta.uid,
        run,
        step,
        meta.annotations.get(names.ANNOTATION_ATTEMPT, ""),
        known.status.phase or "Pending",
        new is None or meta.deletion_timestamp is not None,
    )


def _action(tracker: RunTracker, seen: PodSeen) -> Action | None:
    """What to do to a Pod that has just started to run, if anything."""
    kind = tracker.kind_of(seen.run)
    if kind is None or kind.fault is Fault.NONE or seen.step != kind.shape.steps[0].name:
        return None
    return _ACTIONS[kind.fault] if tracker.pods_of(seen.run, seen.step) == 1 else "succeed"


async def _inject(store: Store, action: Action, run: str, pod: str) -> None:
    """Inject a fault into a Pod or its run; nothing to do if that is gone by then."""
    for _ in range(_TRIES):
        try:
            if action == "cancel":
                body = {"spec": {"cancel": True}}
                await store.patch(names.EXECUTIONS, NAMESPACE, run, body, dict[str, Any])
            elif action == "disrupt":
                await store.delete(names.PODS, NAMESPACE, pod)
            else:
                await end_pod(store, pod, 0 if action == "succeed" else 1)
            return
        except errors.NotFound:
            return
        except errors.Unavailable:
            await asyncio.sleep(0.2)
