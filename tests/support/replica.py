"""A replica of the operator on a model of the API server: the real caches, decisions and writes.

Only the event loop of the process is left out: the test decides what is delivered, worked on and interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import JobView, NodeView, PodView, VolumeClaimView
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, OwingView, ProfileView, WorkflowView
from nightcrawler_crds.names import Resource
from nightcrawler_operator import act, children, lookups
from nightcrawler_operator.act import Actor
from nightcrawler_operator.cluster import missing_children, observe, state
from nightcrawler_operator.cluster.notices import NoticeOptions
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import apply_event
from nightcrawler_operator.effects import events
from nightcrawler_operator.effects.events import EventEffect
from nightcrawler_operator.effects.notifications import sender
from nightcrawler_operator.effects.notifications.delivery import Message
from nightcrawler_operator.effects.notifications.sender import NotificationEffect
from nightcrawler_operator.effects.traces import effect as traces
from nightcrawler_operator.effects.traces.effect import PodEventsEffect, TraceEffect
from nightcrawler_operator.keys import (
    DutyKey,
    EnvironmentKey,
    ExecutionKey,
    LeftoverKey,
    NoticeKey,
    PlacesKey,
    PodEventsKey,
    ScheduleKey,
    TraceKey,
    WorkflowKey,
    WorkKey,
)
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.reconcilers import duties, leftovers, places
from nightcrawler_operator.reconcilers.duties import DutyReconciler
from nightcrawler_operator.reconcilers.execution import ExecutionReconciler
from nightcrawler_operator.reconcilers.leftovers import LeftoverReconciler
from nightcrawler_operator.reconcilers.places import PlacesReconciler
from tests.support.effectloop import EffectLoop
from tests.support.messaging import FixedTargets, ModelReceiver, all_channels
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import KilledError, ModelStore
from tests.support.workloop import NoMetrics, WorkLoop, is_live, model_time, owes


class ModelTransport:
    """Takes messages to a receiver; as at a write, the process may die before or after one is taken."""

    def __init__(self, store: ModelStore, receiver: ModelReceiver) -> None:
        self._store = store
        self._receiver = receiver

    async def send(self, message: Message) -> None:
        """Deliver a message."""
        self._store._write(lambda: self._receiver.take(message))

    async def close(self) -> None:
        """Nothing is open."""


class ModelExporter:
    """Exports traces to a receiver; as at a write, the process may die before or after one is taken."""

    def __init__(self, store: ModelStore, receiver: ModelReceiver) -> None:
        self._store = store
        self._receiver = receiver

    async def export(self, request: Mapping[str, Any]) -> None:
        """Export a trace."""
        self._store._write(lambda: self._receiver.take_trace(request))


def _is_labelled(body: Json) -> bool:
    return names.LABEL_EXECUTION_UID in body["metadata"].get("labels", {})


@dataclass(frozen=True)
class Watch:
    """A watch of the operator: what it selects, and the view of it."""

    resource: Resource
    kind: Any
    selects: Callable[[Json], bool]


EXECUTIONS: Final = Watch(names.EXECUTIONS, ExecutionView, is_live)
JOBS: Final = Watch(names.JOBS, JobView, _is_labelled)
PODS: Final = Watch(names.PODS, PodView, _is_labelled)
OWING: Final = Watch(names.EXECUTIONS, OwingView, owes)
VOLUME_CLAIMS: Final = Watch(names.VOLUME_CLAIMS, VolumeClaimView, _is_labelled)
WATCHED: Final = (EXECUTIONS, JOBS, PODS, OWING, VOLUME_CLAIMS)


class Replica(WorkLoop):
    """One process; `deliver` what the watches report, let it `work`."""

    def __init__(
        self,
        server: ModelServer,
        limits: Limits,
        others_wait: Callable[[], bool] | None = None,
        receiver: ModelReceiver | None = None,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._receiver = receiver or ModelReceiver()
        self._limits = limits
        self._leads = leads
        self._others_wait = others_wait or self._most_often
        self.settled: list[OwingView] = []
        self._asked = 0
        super().__init__(server)

    @override
    def start(self) -> None:
        self.store = ModelStore(self._server)
        self.dirty: dict[WorkKey, None] = {}
        self.timers: dict[WorkKey, datetime] = {}
        self.slow = EffectLoop(lambda: self._server.now)
        notices = NoticeOptions(namespaced=False, wake=self.slow.wake)
        self.cluster = ClusterState(
            self.store, "", self._wake, self._limits, notices=notices, wake_trace=self.slow.wake
        )
        self.cluster.notices.targets = cast("Any", FixedTargets(all_channels()))
        self.effects = self._effects()
        self.events = EventEffect(self.store, instance="replica", metrics=NoMetrics(), wake=lambda _: None)
        self._leftovers = LeftoverReconciler(
            self.store, self.cluster, self._limits, on_found=lambda run: self.events.repeat_recent([run])
        )
        actor = Actor(
            self.store,
            self.cluster,
            limits=self._limits,
            managed=True,
            time_left=lambda: math.inf if self._leads() else 0.0,
            others_wait=self._others_wait,
            metrics=NoMetrics(),
            on_recorded=self._recorded,
        )
        self._executions = ExecutionReconciler(self.cluster, actor, self._limits)
        self._duties = DutyReconciler(
            self.store, self.cluster, self._limits, metrics=NoMetrics(), on_settled=self.settled.append
        )
        self._places = PlacesReconciler(self.store, self.cluster, "", wake=self._wake)
        self._observe_all()

    def _effects(self) -> dict[type, Any]:
        """What messages and traces are sent by."""
        notifications = NotificationEffect(
            self.store,
            self.cluster,
            ModelTransport(self.store, self._receiver),
            self._limits,
            public_url="https://workflows.example",
            time_left=lambda: math.inf,
            wake=self._wake,
            metrics=NoMetrics(),
        )
        exporter = ModelExporter(self.store, self._receiver) if self._limits.exports_traces else None
        return {
            NoticeKey: notifications,
            PodEventsKey: PodEventsEffect(self.store, self.cluster, self._wake),
            TraceKey: TraceEffect(self.store, self.cluster, exporter, wake=self._wake, metrics=NoMetrics()),
        }

    def _observe_all(self) -> None:
        """List everything, and queue what has to be looked at."""
        self._observed = {watch: len(self._server.log.get(watch.resource.plural, ())) for watch in WATCHED}
        self.observe_workflows()
        self.observe_profiles()
        self.observe_environments()
        ready = {"type": "Ready", "status": "True"}
        node = {"metadata": {"name": "node-1", "resourceVersion": "1"}, "status": {"conditions": [ready]}}
        self.cluster.nodes.cache.upsert(from_body(node, NodeView))
        for watch in WATCHED:
            for body in filter(watch.selects, self._server.of(watch.resource).values()):
                if watch is EXECUTIONS:
                    apply_event(self.cluster, watch.resource, None, body)
                else:
                    self._cache(watch).upsert(from_body(body, watch.kind))
        self._observe_version()
        self.events.repeat_recent(self.cluster.executions)
        for key in self.cluster.children.leftovers():
            self._wake(key)

    def begin_to_lead(self) -> None:
        """Queue everything again, as a process does that was elected."""
        self.dirty.clear()
        self.timers.clear()
        self.cluster.invalidate()
        for key in self._executions.all_keys():
            self._wake(key)
        for leftover in self.cluster.children.leftovers():
            self._wake(leftover)

    def stop_leading(self) -> None:
        """Drop everything, as a process does whose Lease has expired."""
        self.dirty.clear()
        self.timers.clear()
        self.cluster.places.begin_term(self.cluster.executions)

    def observe_workflows(self) -> None:
        """Deliver all workflows at once; their watch is never late here."""
        found = [from_body(body, WorkflowView) for body in self._server.of(names.WORKFLOWS).values()]
        self.cluster.workflows.replace_all(found, self._server.version)

    def observe_environments(self) -> None:
        """Deliver all Environments at once."""
        found = [from_body(body, EnvironmentView) for body in self._server.of(names.ENVIRONMENTS).values()]
        self.cluster.environments.replace_all(found, self._server.version)

    def observe_profiles(self) -> None:
        """Deliver all compute profiles at once; their watch is never late here."""
        found = [from_body(body, ProfileView) for body in self._server.of(names.COMPUTE_PROFILES).values()]
        self.cluster.profiles.replace_all(found, self._server.version)

    def deliver(self, watch: Watch, most: int) -> None:
        """Deliver the next few events of a watch."""
        log = self._server.log.get(watch.resource.plural, [])
        begin = self._observed[watch]
        for what, body in log[begin : begin + most]:
            gone = what == "DELETED" or not watch.selects(body)
            if watch is EXECUTIONS:
                apply_event(self.cluster, watch.resource, "DELETED" if gone else what, body)
                continue
            view = from_body(body, watch.kind)
            meta = view.metadata
            if gone:
                self._cache(watch).forget(meta.key, meta.uid, meta.version)
            else:
                self._cache(watch).upsert(view)
        self._observed[watch] = min(len(log), begin + most)
        self._observe_version()

    def _observe_version(self) -> None:
        """Set the version up to which the informer of Jobs has observed."""
        log, observed = self._server.log.get(names.JOBS.plural, []), self._observed[JOBS]
        self.cluster.jobs._version = (
            log[observed - 1][1]["metadata"]["resourceVersion"] if observed else "100"
        )

    def deliver_all(self) -> None:
        """Deliver all events of every watch."""
        for watch in WATCHED:
            self.deliver(watch, 10**9)

    @override
    async def _reconcile(self, key: WorkKey) -> object:
        match key:
            case ExecutionKey():
                return await self._executions.reconcile(key)
            case LeftoverKey():
                return await self._leftovers.reconcile(key)
            case DutyKey():
                return await self._duties.reconcile(key)
            case PlacesKey():
                return await self._places.reconcile(key)
            case WorkflowKey() | ScheduleKey() | EnvironmentKey():
                raise AssertionError(key)

    async def send_events(self) -> None:
        """Send the Events that wait. After a death it starts again."""
        try:
            for key in self.events.all_keys():
                await self.events.reconcile(key)
        except KilledError:
            self._die()

    async def work_on_effects(self) -> bool:
        """Send messages and traces that are due; False if there are none. After a death it starts again."""
        try:
            return await self.slow.work(self.effects)
        except KilledError:
            self._die()
            return True

    def _recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        if after.status.has_ended:
            self._leftovers.run_ended(after)
        self.events.recorded(before, after)

    def _most_often(self) -> bool:
        """Whether other runs wait, by default: mostly yes, so that deferred writes are tried too."""
        self._asked += 1
        return self._asked % 4 != 0

    @override
    def _wake(self, key: WorkKey) -> None:
        # The reconciles of the others are not simulated here.
        if self._leads() and not isinstance(key, WorkflowKey | ScheduleKey | EnvironmentKey):
            self.dirty[key] = None

    def _cache(self, watch: Watch) -> Any:
        cluster = self.cluster
        caches: dict[Watch, Any] = {
            JOBS: cluster.jobs.cache,
            PODS: cluster.pods.cache,
            VOLUME_CLAIMS: cluster.children.volume_claims.cache,
            OWING: cluster.owing.informer.cache,
        }
        return caches[watch]


@contextlib.contextmanager
def the_servers_time(server: ModelServer) -> Iterator[asyncio.Runner]:
    """The operator asks the model for the time; gives a runner for its coroutines."""
    reading = (observe, act, children, missing_children, lookups)
    utcnow = (*reading, leftovers, duties, places, events, sender, traces)
    with model_time(lambda: server.now, utcnow=utcnow, monotonic=(state, lookups)) as runner:
        yield runner
