"""Workflows with schedules, their runs, and the operators that care for them, in memory.

The operators' decisions, caches and writes are the real ones. What becomes of runs, what people do, who dies
at which write and how time passes is the test's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from unittest import mock

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import OwingView
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import has_ended
from nightcrawler_operator.cluster import observe_schedule, state
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import apply_event
from nightcrawler_operator.keys import DutyKey, ScheduleKey, WorkKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import DecideAgain, Waiting
from nightcrawler_operator.reconcilers import duties
from nightcrawler_operator.reconcilers.duties import DutyReconciler
from nightcrawler_operator.reconcilers.schedule import ScheduleReconciler
from tests.support.modelserver import Json, ModelServer
from tests.support.replica import Death, KilledError, ModelStore
from tests.support.schedulelaws import ScheduleLaws, is_live

LIMITS: Final = Limits(catch_up_most=5)
WHERE: Final = ("default", "wf")
_PATIENCE: Final = 500


@dataclass(frozen=True)
class Act:
    """Something that happens."""

    what: str
    many: int = 1
    replica: int = 0
    death: Death | None = None
    schedule: Json | None = None


class Nobody:
    """Counts nothing."""

    def scheduled(self, outcome: str, reason: str, late: float) -> None:
        """Not counted."""

    def gave_up(self, undone: Sequence[str], reason: str) -> None:
        """Not counted."""


class SchedulingReplica:
    """One process, as far as schedules are concerned."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.deaths = 0
        self.start()

    def start(self) -> None:
        """Begin with what the server has, and look at all of it."""
        self.store = ModelStore(self._server)
        self.dirty: dict[ScheduleKey | DutyKey, None] = {}
        self.timers: dict[ScheduleKey | DutyKey, datetime] = {}
        self.cluster = ClusterState(self.store, "", self._wake)
        self.schedules = ScheduleReconciler(
            self.store,
            self.cluster,
            LIMITS,
            time_left=lambda: math.inf,
            metrics=Nobody(),
            on_outcome=lambda *_: None,
        )
        self.duties = DutyReconciler(
            self.store, self.cluster, LIMITS, metrics=Nobody(), on_settled=lambda _: None
        )
        self._observed = dict.fromkeys(_WATCHES, 0)
        for watch, (kind, selected) in _WATCHES.items():
            self._observed[watch] = len(self._server.log.get(kind.plural, ()))
            for body in self._server.of(kind).values():
                if selected(body):
                    self._hear(watch, None, body)
        for key in self.schedules.all_keys():
            self._wake(key)

    def deliver(self, most: int) -> None:
        """Hear the next few events of each kind; the rest stays on its way."""
        for watch, (kind, selected) in _WATCHES.items():
            log = self._server.log.get(kind.plural, [])
            begin = self._observed[watch]
            for what, body in log[begin : begin + most]:
                self._hear(watch, what if selected(body) else "DELETED", body)
            self._observed[watch] = min(len(log), begin + most)

    def _hear(self, watch: str, what: str | None, body: Json) -> None:
        if watch != "owing":
            apply_event(self.cluster, _WATCHES[watch][0], what, body)
            return
        view, cache = from_body(body, OwingView), self.cluster.owing.informer.cache
        if what == "DELETED":
            cache.forget(view.metadata.key, view.metadata.uid, view.metadata.version)
        else:
            cache.upsert(view)

    async def work(self) -> bool:
        """Work on one key; False if there is none. After a death it starts again."""
        for key in [key for key, due in self.timers.items() if due <= self._server.now]:
            self._wake(key)
            del self.timers[key]
        if not self.dirty:
            return False
        key = next(iter(self.dirty))
        del self.dirty[key]
        try:
            match key:
                case ScheduleKey():
                    outcome = await self.schedules.reconcile(key)
                case DutyKey():
                    outcome = await self.duties.reconcile(key)
        except KilledError:
            self.deaths += 1
            self.start()
            return True
        except (DecideAgain, errors.ApiError):
            self._wake(key)
            return True
        if isinstance(outcome, Waiting):
            self.timers[key] = min(outcome.until, self.timers.get(key, outcome.until))
        return True

    def _wake(self, key: WorkKey) -> None:
        if isinstance(key, ScheduleKey | DutyKey):
            self.dirty[key] = None


def _is_live(body: Json) -> bool:
    return not has_ended(body.get("status", {}).get("phase"))


def _owes(body: Json) -> bool:
    return body.get("status", {}).get("settled") is False


_WATCHES: Final[Mapping[str, tuple[Resource, Callable[[Json], bool]]]] = {
    "workflows": (names.WORKFLOWS, lambda _: True),
    "live": (names.EXECUTIONS, _is_live),
    "owing": (names.EXECUTIONS, _owes),
}


class ScheduleStory:
    """One workflow with a schedule, from which much can be done."""

    def __init__(self, schedule: Json, replicas: int, begin: datetime) -> None:
        self.server = ModelServer()
        self.server.now = begin
        self.laws = ScheduleLaws(self.server)
        self.make(schedule)
        self.replicas = [SchedulingReplica(self.server) for _ in range(replicas)]

    def make(self, schedule: Json) -> None:
        """Create the workflow."""
        meta = {"name": WHERE[1], "namespace": WHERE[0]}
        spec = {"steps": [], "config": {"schedule": schedule}}
        self.server.create(names.WORKFLOWS, {"kind": "Workflow", "metadata": meta, "spec": spec})

    def clock(self) -> datetime:
        """The time now."""
        return self.server.now

    @property
    def workflow(self) -> Json:
        """The workflow."""
        return self.server.get(names.WORKFLOWS, WHERE)

    @property
    def state(self) -> Json:
        """What is recorded of the schedule."""
        recorded: Json = self.workflow.get("status", {}).get("schedule") or {}
        return recorded

    def outcomes(self) -> list[tuple[str, str, str]]:
        """Time, outcome and reason of the recent times."""
        return [(e["time"][11:16], e["outcome"], e.get("reason", "")) for e in self.state.get("recent", [])]

    def live(self) -> list[Json]:
        """The live runs of the workflow as it is now."""
        uid = self.workflow["metadata"]["uid"]
        return [run for run in self.server.of(names.EXECUTIONS).values() if is_live(run, uid)]

    def edit(self, **fields: Any) -> None:
        """A person changes the spec."""
        generation = self.workflow["metadata"]["generation"] + 1
        self.server.patch(names.WORKFLOWS, WHERE, {"metadata": {"generation": generation}, "spec": fields})

    def end(self, phase: str, which: int = 0) -> None:
        """A run ends; those being cancelled are Cancelled."""
        live = self.live()
        if live:
            run = live[which % len(live)]
            phase = "Cancelled" if run["spec"].get("cancel") else phase
            where = (WHERE[0], run["metadata"]["name"])
            ended = {"phase": phase, "completionTime": to_wire(self.server.now)}
            owed = {"settled": False, "duties": ["Schedule"]}
            self.server.patch(names.EXECUTIONS, where, {"status": ended | owed}, "status")

    def prune(self) -> None:
        """The history is pruned: of what has ended, what owes nothing goes."""
        for where, run in list(self.server.of(names.EXECUTIONS).items()):
            if not _is_live(run) and not _owes(run):
                self.server.delete(names.EXECUTIONS, where)

    async def happens(self, act: Act) -> None:
        """Let something happen."""
        one = self.replicas[act.replica % len(self.replicas)]
        match act.what:
            case "work":
                one.store.live_until(act.death)
                await one.work()
            case "catch up" | "go on":
                self.server.now += timedelta(seconds=act.many if act.what == "go on" else 0)
                one.store.live_until(act.death)
                one.deliver(10**9)
                await self._work_off(one)
            case "observe":
                one.deliver(act.many)
            case "time" | "clock goes wrong":
                self.server.now += timedelta(seconds=act.many)
            case "clock goes right":
                self.server.now -= timedelta(seconds=act.many)
            case "complete" | "fail" | "cancel":
                self.end(
                    {"complete": "Completed", "fail": "Failed", "cancel": "Cancelled"}[act.what], act.many
                )
            case "prune":
                self.prune()
            case "suspend" | "resume":
                self.edit(suspend=act.what == "suspend")
            case "edit":
                assert act.schedule is not None
                self.edit(config={"schedule": {**_UNSET, **act.schedule}})
            case "again":
                assert act.schedule is not None
                self._delete()
                self.make(act.schedule)
            case other:
                raise AssertionError(other)

    def _delete(self) -> None:
        uid = self.workflow["metadata"]["uid"]
        self.server.delete(names.WORKFLOWS, WHERE)
        for where, run in list(self.server.of(names.EXECUTIONS).items()):
            if any(owner["uid"] == uid for owner in run["metadata"]["ownerReferences"]):
                self.server.delete(names.EXECUTIONS, where)

    async def _work_off(self, one: SchedulingReplica) -> None:
        for _ in range(_PATIENCE):
            if not await one.work():
                return
            one.deliver(10**9)
        raise AssertionError(f"the operator turns in circles: {self.state}")

    async def settle(self) -> None:
        """Everybody does their work, runs complete, and nobody dies, until nothing is left to do for now."""
        for _ in range(_PATIENCE):
            before = self.server.version
            for one in self.replicas:
                one.store.live_until(None)
                one.deliver(10**9)
                await self._work_off(one)
            self.end("Completed")
            if self.server.version == before:
                return
        raise AssertionError(f"it does not come to rest: {self.state}")


_UNSET: Final = dict.fromkeys(
    ("cron", "interval", "timeZone", "catchUp", "skipOnFailure", "concurrencyPolicy", "startingDeadline")
)


@contextlib.contextmanager
def the_storys_time(story: ScheduleStory) -> Iterator[asyncio.Runner]:
    """Everything of the operator asks the model for the time; gives a runner for its coroutines."""

    class Monotonic:
        @staticmethod
        def monotonic() -> float:
            return story.server.now.timestamp()

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(observe_schedule, "utcnow", story.clock))
        stack.enter_context(mock.patch.object(duties, "utcnow", story.clock))
        stack.enter_context(mock.patch.object(state, "time", Monotonic))
        yield stack.enter_context(asyncio.Runner())


def tell(story: ScheduleStory, acts: list[Act]) -> None:
    """Let it all happen, and then come to rest."""

    async def told() -> None:
        for act in acts:
            await story.happens(act)
        await story.settle()

    with the_storys_time(story) as runner:
        runner.run(told())
    story.laws.at_the_end()
