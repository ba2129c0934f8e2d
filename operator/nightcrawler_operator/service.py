"""The operator as a whole: everything it is made of, wired, started and stopped.

At the start the caches are filled before this replica takes part in the election, so that a leader never
decides on partial data. At the end workers stop first, then the Lease is released, then the rest stops.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from typing import Any, Final

from nightcrawler_crds import errors, names, phases, runtime
from nightcrawler_crds.election.elector import Elector
from nightcrawler_crds.election.holder import Witness, own_holder, write_identity
from nightcrawler_crds.election.leadership import Leadership, SoleLeader
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.scheduleviews import OutcomeView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, OwingView, WorkflowView
from nightcrawler_crds.names import Resource
from nightcrawler_crds.prometheus import prometheus_of
from nightcrawler_operator.act import Actor
from nightcrawler_operator.cluster import installed
from nightcrawler_operator.cluster.notices import NoticeOptions
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import VIEWS, apply_event, apply_list
from nightcrawler_operator.controller import Controller, Reconciler
from nightcrawler_operator.decisions.schedules.events import event_of
from nightcrawler_operator.decisions.schedules.snapshot import SCHEDULED, has_schedule
from nightcrawler_operator.effects.events import EventEffect
from nightcrawler_operator.effects.usage import UsageCollector
from nightcrawler_operator.keys import (
    DutyKey,
    EnvironmentKey,
    EventsKey,
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
from nightcrawler_operator.lanes import Lane, Lanes
from nightcrawler_operator.reconcilers.duties import DutyReconciler
from nightcrawler_operator.reconcilers.environment import EnvironmentReconciler
from nightcrawler_operator.reconcilers.execution import ExecutionReconciler
from nightcrawler_operator.reconcilers.leftovers import LeftoverReconciler
from nightcrawler_operator.reconcilers.places import PlacesReconciler
from nightcrawler_operator.reconcilers.schedule import ScheduleReconciler
from nightcrawler_operator.reconcilers.workflow import WorkflowReconciler
from nightcrawler_operator.settings import Settings
from nightcrawler_operator.sloweffects import SlowEffects
from nightcrawler_operator.telemetry import Telemetry
from nightcrawler_operator.workqueue import WorkQueue

log = logging.getLogger(__name__)

_RETRY_LIST: Final = 2.0
_EFFECT_WORKERS: Final = 2


class Operator:
    """One replica of the operator."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self.settings = settings
        self.connection = connection
        self.telemetry = Telemetry()
        self.lanes = Lanes(self._lane_of)
        self.store = Store(connection)
        self.cluster = self._cluster_state()
        self.own = own_holder(settings.container)
        self.election = self._election()
        limits = settings.limits
        self._workflows = WorkflowReconciler(self.store, self.cluster, limits)
        self._events = EventEffect(
            self.store, instance=self.own.identity, metrics=self.telemetry, wake=self._wake_effect
        )
        self._slow = SlowEffects(
            settings, self.store, self.cluster, self.telemetry, self.election, self._wake
        )
        self._leftovers = LeftoverReconciler(self.store, self.cluster, limits, on_found=self._found_ended)
        self._schedules = ScheduleReconciler(
            self.store,
            self.cluster,
            limits,
            time_left=self.election.time_left,
            metrics=self.telemetry,
            on_outcome=self._scheduled,
            turn=self.lanes[Lane.SCHEDULE].pause,
        )
        self.controller = Controller(
            self.lanes, self._reconcilers(), metrics=self.telemetry, leads=lambda: self.election.is_leader
        )
        self._effect_queue = WorkQueue[EventsKey]()
        self.effects = Controller(
            self._effect_queue,
            {EventsKey: self._events},
            metrics=self.telemetry,
            leads=lambda: self.election.is_leader,
        )
        self._usage = self._usage_collector()
        self.telemetry.register_gauges(self.lanes, self.election, self.cluster, events=self._events)
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self.synced = asyncio.Event()
        self.problem = ""
        """What keeps it from running anything, and what to do; empty if nothing does."""

    def _cluster_state(self) -> ClusterState:
        settings = self.settings
        notices = NoticeOptions(
            folder=settings.notifications_folder,
            namespaced=settings.notifications_namespaced,
            domains=settings.notification_domains,
            wake=self._wake_notice,
        )
        return ClusterState(
            self.store,
            settings.watch_namespace,
            self._wake,
            settings.limits,
            notices=notices,
            wake_trace=self._wake_trace,
        )

    def _reconcilers(self) -> dict[type[WorkKey], Reconciler[Any]]:
        """What reconciles which kind of key."""
        limits = self.settings.limits
        actor = Actor(
            self.store,
            self.cluster,
            limits=limits,
            managed=self.settings.managed_jobs,
            time_left=self.election.time_left,
            others_wait=lambda: len(self.lanes) > 0,
            metrics=self.telemetry,
            on_recorded=self._recorded,
        )
        return {
            ExecutionKey: ExecutionReconciler(self.cluster, actor, limits),
            WorkflowKey: self._workflows,
            LeftoverKey: self._leftovers,
            DutyKey: DutyReconciler(
                self.store, self.cluster, limits, metrics=self.telemetry, on_settled=self._run_settled
            ),
            ScheduleKey: self._schedules,
            EnvironmentKey: EnvironmentReconciler(
                self.store, self.cluster, limits, all_runs=not self.settings.watch_namespace
            ),
            PlacesKey: PlacesReconciler(
                self.store, self.cluster, self.settings.watch_namespace, wake=self._wake
            ),
        }

    # --- life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start in the background: list everything, then take part in the election."""
        # The modules stay too: walking them took longer than all else after the imports.
        gc.freeze()
        runtime.collect_seldom()
        if self.settings.leader_election:
            write_identity(self.own)
        for informer in self.cluster.informers:
            self._spawn(informer.run(), f"informer of {informer.resource.plural}")
        self._spawn(self.cluster.room.run(), "informer of all Pods")
        self._spawn(self._sync_then_lead(), "election")
        if self._usage is not None:
            self._spawn(self._usage.run(), "measurement of usage")
        workers = {Lane.PEOPLE: self.settings.workers, Lane.SCHEDULE: self.settings.schedule_workers}
        self._workers = [
            asyncio.create_task(self.controller.work(self.lanes[lane]))
            for lane in Lane
            for _ in range(workers[lane])
        ]
        for number in range(_EFFECT_WORKERS):
            self._spawn(self.effects.work(self._effect_queue), f"effects {number}")
        for work, what in self._slow.workers():
            self._spawn(work, what)
        self._spawn(self.cluster.notices.targets.run(), "informer of targets")

    async def stop(self) -> None:
        """Stop in order: finish the writes under way, then release the Lease."""
        self.lanes.close()
        if self._workers:
            await asyncio.wait(self._workers, timeout=5)
        for task in [*self._workers, *reversed(self._tasks)]:
            task.cancel()
        await asyncio.gather(*self._workers, *self._tasks, return_exceptions=True)
        await self._slow.close()
        await self.connection.close()

    async def _sync_then_lead(self) -> None:
        await self._wait_for_our_kinds()
        await self.election.observe_lease()
        await self._list_ours()
        for informer in self.cluster.informers:
            await informer.synced.wait()
        # What is listed now lives long; the collector need not visit it again.
        gc.collect()
        gc.freeze()
        self.synced.set()
        log.info(
            "synced: %d live executions, %d workflows",
            len(self.cluster.executions),
            len(self.cluster.workflows),
        )
        self._spawn(self._resync(), "resync")
        await self.election.run()

    async def _wait_for_our_kinds(self) -> None:
        """Wait until the installed custom resources are those that this version needs."""
        while True:
            try:
                problem = await installed.missing(self.store, self.settings.watch_namespace)
            except errors.ApiError as error:
                log.warning("the custom resources cannot be checked yet: %s", error)
            else:
                if problem and problem != self.problem:
                    log.error("%s", problem)
                self.problem = problem
                if not problem:
                    return
            await asyncio.sleep(_RETRY_LIST)

    async def _resync(self) -> None:
        """List our kinds again every resync period: Kopf misses deletions while its watch is broken."""
        while True:
            await asyncio.sleep(self.settings.resync_period)
            await self._list_ours()
            if self.election.is_leader:
                self.controller.wake_all()

    async def _list_ours(self) -> None:
        await self._list(names.ENVIRONMENTS)
        await self._list(names.COMPUTE_PROFILES)
        await self._list(names.WORKFLOWS)
        await self._list(names.EXECUTIONS, phases.LIVE_SELECTOR)

    async def _list(self, resource: Resource, field_selector: str = "") -> None:
        namespace = self.settings.watch_namespace if resource.namespaced else ""
        while True:
            unreadable: list[errors.Unreadable] = []
            try:
                found, version = await self.store.list_with_version(
                    resource,
                    namespace,
                    VIEWS[resource],
                    field_selector=field_selector,
                    on_unreadable=unreadable.append,
                )
            except errors.ApiError as error:
                log.warning("listing %s failed, retrying in %.0f s: %s", resource.plural, _RETRY_LIST, error)
                await asyncio.sleep(_RETRY_LIST)
            else:
                apply_list(self.cluster, resource, found, unreadable, version)
                return

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        async def watched() -> None:
            try:
                await work
            except Exception:
                log.exception(
                    "the %s stopped unexpectedly: a bug; /healthz fails, to have this process restarted",
                    what,
                )
                raise

        self._tasks.append(asyncio.create_task(watched(), name=what))

    @property
    def dead(self) -> list[str]:
        """The background tasks that stopped unexpectedly; only a restart brings them back."""
        return [task.get_name() for task in self._tasks if task.done()]

    # --- watch events and what follows -------------------------------------------------------------

    def apply_event(self, resource: Resource, kind: str | None, body: dict[str, Any]) -> None:
        """Apply an event from Kopf; `kind` is ADDED, MODIFIED, DELETED, or None if it was listed."""
        apply_event(self.cluster, resource, kind, body)

    def _recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        if after.status.has_ended:
            self._workflows.run_ended(after)
            self._leftovers.run_ended(after)
            self.cluster.past.run_ended(after)
        if self.settings.events:
            self._events.recorded(before, after)

    def _scheduled(self, workflow: WorkflowView, entry: OutcomeView) -> None:
        if self.settings.events and (new := event_of(entry)) is not None:
            self._events.noted(workflow, new)

    def _found_ended(self, execution: ExecutionView) -> None:
        if self.settings.events:
            self._events.repeat_recent([execution])

    def _lane_of(self, key: WorkKey) -> Lane:
        """What schedules start has a lane of its own; what is not cached is a person's until it is."""
        where = (key.namespace, key.name)
        match key:
            case ScheduleKey() | DutyKey():
                return Lane.SCHEDULE
            case ExecutionKey():
                execution = self.cluster.executions.get(where)
                scheduled = execution is not None and execution.spec.trigger.type == SCHEDULED
            case WorkflowKey():
                workflow = self.cluster.workflows.get(where)
                scheduled = workflow is not None and has_schedule(workflow)
            case LeftoverKey() | EnvironmentKey() | PlacesKey():
                scheduled = False
        return Lane.SCHEDULE if scheduled else Lane.PEOPLE

    def _run_settled(self, execution: OwingView) -> None:
        self._workflows.run_settled(execution)
        self._wake(WorkflowKey(execution.metadata.namespace, execution.spec.workflow_ref.name))

    def _wake_effect(self, key: EventsKey) -> None:
        self.effects.wake(key)

    def _wake_notice(self, key: NoticeKey) -> None:
        self._slow.wake_notice(key)

    def _wake_trace(self, key: PodEventsKey | TraceKey) -> None:
        self._slow.wake_trace(key)

    def _wake(self, key: WorkKey) -> None:
        # The caches are built before the controller, and report nothing before they are started.
        self.controller.wake(key)

    def _usage_collector(self) -> UsageCollector | None:
        settings = self.settings
        if not settings.usage:
            return None
        return UsageCollector(
            self.store,
            self.cluster,
            settings.watch_namespace,
            gpus=prometheus_of(settings),
            metrics=self.telemetry,
        )

    # --- leadership ----------------------------------------------------------------------------------

    def _election(self) -> Leadership:
        if not self.settings.leader_election:
            return SoleLeader(on_started=self._lead, on_stopped=self._follow)
        witness, terms = Witness(self.store, self.own), self.settings.lease_terms
        return Elector(self.store, terms, witness, on_started=self._lead, on_stopped=self._follow)

    def _lead(self) -> None:
        log.info("leading")
        self.cluster.invalidate()
        self._workflows.invalidate()
        if self.settings.events:
            self._events.repeat_recent(self.cluster.executions)
        self.controller.wake_all()
        self._slow.wake_all()

    def _follow(self) -> None:
        log.info("not leading")
        self.lanes.clear()
        self._events.clear()
        self.cluster.places.begin_term(self.cluster.executions)
        self._slow.clear()
        # Another leader may delete revisions that are cached here.
        self.cluster.revisions.forget_recorded()
