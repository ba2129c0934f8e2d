"""A workflow with a schedule, its runs, and replicas of the operator, in memory.

The operator's decisions, caches and writes are the real ones. The test decides how runs end, what people do,
which replica dies at which write, and how time passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import OwingView
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster import observe_schedule, state
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import apply_event
from nightcrawler_operator.keys import DutyKey, ScheduleKey, WorkKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.reconcilers import duties
from nightcrawler_operator.reconcilers.duties import DutyReconciler
from nightcrawler_operator.reconcilers.schedule import ScheduleReconciler
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import Death, ModelStore
from tests.support.scheduleinvariants import ScheduleInvariants, is_live_run_of
from tests.support.workloop import NoMetrics, WorkLoop, is_live, model_time, owes

LIMITS: Final = Limits(catch_up_most=5)
WHERE: Final = ("default", "wf")
_MAX_ROUNDS: Final = 500


async def _at_once() -> None:
    """What a step of a reconcile waits for: nothing here."""


@dataclass(frozen=True)
class Action:
    """One action of a test."""

    what: str
    many: int = 1
    replica: int = 0
    death: Death | None = None
    schedule: Json | None = None


class SchedulingReplica(WorkLoop):
    """One process, as far as schedules are concerned."""

    @override
    def start(self) -> None:
        self.store = ModelStore(self._server)
        self.dirty = {}
        self.timers = {}
        self.cluster = ClusterState(self.store, "", self._wake)
        self.schedules = ScheduleReconciler(
            self.store,
            self.cluster,
            LIMITS,
            time_left=lambda: math.inf,
            metrics=NoMetrics(),
            on_outcome=lambda *_: None,
            turn=_at_once,
        )
        self.duties = DutyReconciler(
            self.store, self.cluster, LIMITS, metrics=NoMetrics(), on_settled=lambda _: None
        )
        self._observed = dict.fromkeys(_WATCHES, 0)
        for watch, (kind, selected) in _WATCHES.items():
            self._observed[watch] = len(self._server.log.get(kind.plural, ()))
            for body in self._server.of(kind).values():
                if selected(body):
                    self._observe(watch, None, body)
        for key in self.schedules.all_keys():
            self._wake(key)

    def deliver(self, most: int) -> None:
        """Deliver the next few events of each watch."""
        for watch, (kind, selected) in _WATCHES.items():
            log = self._server.log.get(kind.plural, [])
            begin = self._observed[watch]
            for what, body in log[begin : begin + most]:
                self._observe(watch, what if selected(body) else "DELETED", body)
            self._observed[watch] = min(len(log), begin + most)

    def _observe(self, watch: str, what: str | None, body: Json) -> None:
        if watch != "owing":
            apply_event(self.cluster, _WATCHES[watch][0], what, body)
            return
        view, cache = from_body(body, OwingView), self.cluster.owing.informer.cache
        if what == "DELETED":
            cache.forget(view.metadata.key, view.metadata.uid, view.metadata.version)
        else:
            cache.upsert(view)

    @override
    async def _reconcile(self, key: WorkKey) -> object:
        match key:
            case ScheduleKey():
                return await self.schedules.reconcile(key)
            case DutyKey():
                return await self.duties.reconcile(key)
            case other:
                raise AssertionError(other)

    @override
    def _wake(self, key: WorkKey) -> None:
        if isinstance(key, ScheduleKey | DutyKey):
            self.dirty[key] = None


_WATCHES: Final[Mapping[str, tuple[Resource, Callable[[Json], bool]]]] = {
    "workflows": (names.WORKFLOWS, lambda _: True),
    "live": (names.EXECUTIONS, is_live),
    "owing": (names.EXECUTIONS, owes),
}


class ScheduleSimulation:
    """One workflow with a schedule, and the replicas that reconcile it."""

    def __init__(self, schedule: Json, replicas: int, begin: datetime) -> None:
        self.server = ModelServer()
        self.server.now = begin
        self.invariants = ScheduleInvariants(self.server)
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
        return [run for run in self.server.of(names.EXECUTIONS).values() if is_live_run_of(run, uid)]

    def edit(self, **fields: Any) -> None:
        """Change the spec, as a person does."""
        generation = self.workflow["metadata"]["generation"] + 1
        self.server.patch(names.WORKFLOWS, WHERE, {"metadata": {"generation": generation}, "spec": fields})

    def end(self, phase: str, which: int = 0) -> None:
        """End a run; one that is being cancelled is Cancelled."""
        live = self.live()
        if live:
            run = live[which % len(live)]
            phase = "Cancelled" if run["spec"].get("cancel") else phase
            where = (WHERE[0], run["metadata"]["name"])
            ended = {"phase": phase, "completionTime": to_wire(self.server.now)}
            owed = {"settled": False, "duties": ["Schedule"]}
            self.server.patch(names.EXECUTIONS, where, {"status": ended | owed}, "status")

    def prune(self) -> None:
        """Prune the history: delete ended runs that owe nothing."""
        for where, run in list(self.server.of(names.EXECUTIONS).items()):
            if not is_live(run) and not owes(run):
                self.server.delete(names.EXECUTIONS, where)

    async def apply(self, action: Action) -> None:
        """Carry out one action."""
        one = self.replicas[action.replica % len(self.replicas)]
        match action.what:
            case "work":
                one.store.live_until(action.death)
                await one.work()
            case "catch up" | "later":
                self.server.now += timedelta(seconds=action.many if action.what == "later" else 0)
                one.store.live_until(action.death)
                one.deliver(10**9)
                await self._work_off(one)
            case "observe":
                one.deliver(action.many)
            case "time" | "clock jumps":
                self.server.now += timedelta(seconds=action.many)
            case "clock returns":
                self.server.now -= timedelta(seconds=action.many)
            case "complete" | "fail" | "cancel":
                self.end(
                    {"complete": "Completed", "fail": "Failed", "cancel": "Cancelled"}[action.what],
                    action.many,
                )
            case "prune":
                self.prune()
            case "suspend" | "resume":
                self.edit(suspend=action.what == "suspend")
            case "edit":
                assert action.schedule is not None
                self.edit(config={"schedule": {**_UNSET, **action.schedule}})
            case "recreate":
                assert action.schedule is not None
                self._delete()
                self.make(action.schedule)
            case other:
                raise AssertionError(other)

    def _delete(self) -> None:
        uid = self.workflow["metadata"]["uid"]
        self.server.delete(names.WORKFLOWS, WHERE)
        for where, run in list(self.server.of(names.EXECUTIONS).items()):
            if any(owner["uid"] == uid for owner in run["metadata"]["ownerReferences"]):
                self.server.delete(names.EXECUTIONS, where)

    async def _work_off(self, one: SchedulingReplica) -> None:
        for _ in range(_MAX_ROUNDS):
            if not await one.work():
                return
            one.deliver(10**9)
        raise AssertionError(f"the operator never runs out of work: {self.state}")

    async def settle(self) -> None:
        """Let all replicas work without deaths and complete all runs, until nothing changes any more."""
        for _ in range(_MAX_ROUNDS):
            before = self.server.version
            for one in self.replicas:
                one.store.live_until(None)
                one.deliver(10**9)
                await self._work_off(one)
            self.end("Completed")
            if self.server.version == before:
                return
        raise AssertionError(f"it does not settle: {self.state}")


_UNSET: Final = dict.fromkeys(
    ("cron", "interval", "timeZone", "catchUp", "skipOnFailure", "concurrencyPolicy", "startingDeadline")
)


def run_story(story: ScheduleSimulation, actions: list[Action]) -> None:
    """Carry out all actions, and then settle."""

    async def all_of_it() -> None:
        for action in actions:
            await story.apply(action)
        await story.settle()

    with model_time(story.clock, utcnow=(observe_schedule, duties), monotonic=(state,)) as runner:
        runner.run(all_of_it())
    story.invariants.at_the_end()
