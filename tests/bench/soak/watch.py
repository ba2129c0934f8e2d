"""What the soak sees of runs and Pods, told to its ledger; and what it plays with some Pods."""

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
from tests.bench.soak.kinds import Play
from tests.bench.soak.ledger import Ledger, PodSeen

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


Part = Literal["fail", "disrupt", "cancel", "succeed"]
_PARTS: Final[dict[Play, Part]] = {Play.FAIL: "fail", Play.DISRUPT: "disrupt", Play.CANCEL: "cancel"}


class _Watch:
    """Tells the ledger of changes, and keeps a list of what is to be played."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger
        self._to_play: asyncio.Queue[tuple[Part, PodSeen, str]] = asyncio.Queue()

    def pod(self, old: _Pod | None, new: _Pod | None) -> None:
        seen = _seen(new or old, new)
        if seen is None:
            return
        if new is None:
            self._ledger.pod_gone(seen)
            return
        if old is None:
            self._ledger.first_sight(seen)
        self._ledger.pod(seen, time.monotonic())
        has_started = seen.phase == "Running" and (old is None or old.status.phase != "Running")
        if has_started and (part := _part(self._ledger, seen)) is not None:
            self._to_play.put_nowait((part, seen, new.metadata.name))

    def run(self, old: _Run | None, new: _Run | None) -> None:
        now = time.monotonic()
        if new is not None:
            self._ledger.phase(new.metadata.name, new.status.phase, now)
        elif old is not None:
            self._ledger.run_gone(old.metadata.name, now)

    async def play(self) -> None:
        while True:
            part, seen, name = await self._to_play.get()
            await _play(self._store, part, seen.run, name)


@asynccontextmanager
async def watching(store: Store, ledger: Ledger) -> AsyncIterator[None]:
    """Tell the ledger of all runs and Pods from now on, and play with the Pods it wants to be played with."""
    watch = _Watch(store, ledger)
    pods = Informer(store, names.PODS, _Pod, namespace=NAMESPACE, on_change=watch.pod)
    runs = Informer(store, names.EXECUTIONS, _Run, namespace=NAMESPACE, on_change=watch.run)
    tasks = [asyncio.create_task(work) for work in (pods.run(), runs.run(), watch.play())]
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
    """What the ledger wants to know of a Pod; None of one that is no step's."""
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


def _part(ledger: Ledger, seen: PodSeen) -> Part | None:
    """What to play with a Pod that has just started to run."""
    kind = ledger.kind_of(seen.run)
    if kind is None or kind.play is Play.NOTHING or seen.step != kind.shape.steps[0].name:
        return None
    return _PARTS[kind.play] if ledger.pods_of(seen.run, seen.step) == 1 else "succeed"


async def _play(store: Store, part: Part, run: str, pod: str) -> None:
    """Do to a Pod what its run's kind wants; whatever is gone by then needs nothing."""
    for _ in range(_TRIES):
        try:
            if part == "cancel":
                body = {"spec": {"cancel": True}}
                await store.patch(names.EXECUTIONS, NAMESPACE, run, body, dict[str, Any])
            elif part == "disrupt":
                await store.delete(names.PODS, NAMESPACE, pod)
            else:
                await end_pod(store, pod, 0 if part == "succeed" else 1)
            return
        except errors.NotFound:
            return
        except errors.Unavailable:
            await asyncio.sleep(0.2)
