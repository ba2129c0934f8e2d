"""A replica of the operator on a model of the API server: the real caches, decisions and writes.

Only the event loop of the process is left out: what is delivered, worked on and interrupted when is
the test's to say. A replica that is killed starts again with nothing but what the server has.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from unittest import mock

import msgspec
from typing_extensions import override

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.nativeviews import JobView, NodeView, PodView
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.store import OnUnreadable, Store
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, OwingView, ProfileView, WorkflowView
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import has_ended
from nightcrawler_operator import act, children, lookups
from nightcrawler_operator.act import Actor
from nightcrawler_operator.cluster import missing_children, observe, state
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import apply_event
from nightcrawler_operator.effects import events
from nightcrawler_operator.effects.events import EventEffect
from nightcrawler_operator.keys import DutyKey, ExecutionKey, LeftoverKey, ScheduleKey, WorkflowKey, WorkKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import DecideAgain, NewJob, Waiting
from nightcrawler_operator.reconcilers import duties, leftovers
from nightcrawler_operator.reconcilers.duties import DutyReconciler
from nightcrawler_operator.reconcilers.execution import ExecutionReconciler
from nightcrawler_operator.reconcilers.leftovers import LeftoverReconciler
from nightcrawler_operator.snapshot import Snapshot
from tests.support.modelserver import Json, ModelServer

T = TypeVar("T")
_NOWHERE: Final = Connection(Identity("http://localhost"), "nobody")


_LATER: Final = timedelta(seconds=5)


class KilledError(Exception):
    """The process was killed at this request."""


@dataclass(frozen=True)
class Death:
    """Die at a write: the next one is 0.

    If it is `answered`, the server has taken that one; if it is `late`, it is still on its way, and arrives
    when the test says so, while the next life of the process, or another replica, works already.
    """

    write: int
    answered: bool
    late: bool = False


class ModelStore(Store):
    """A store on the model; dies at the write that the test names, and then answers nothing more."""

    def __init__(self, server: ModelServer) -> None:
        super().__init__(_NOWHERE)
        self._server = server
        self.death: Death | None = None
        self._writes = 0
        self._dead = False

    def live_until(self, death: Death | None) -> None:
        """Count writes from now on; None lives on."""
        self.death, self._writes = death, 0

    def _read(self, call: Callable[[], T]) -> T:
        if self._dead:
            raise KilledError
        return call()

    def _write(self, call: Callable[[], T]) -> T:
        if self._dead:
            raise KilledError
        due = self.death is not None and self._writes == self.death.write
        self._writes += 1
        with self._server.asked_by_the_operator():
            if due and self.death is not None:
                self._dead = True
                if self.death.late:
                    self._server.on_their_way.append(call)
                elif self.death.answered:
                    with contextlib.suppress(errors.ApiError):
                        call()
                raise KilledError
            return call()

    @override
    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        return self._read(lambda: _as(self._server.get(resource, (namespace, name)), kind))

    @override
    async def create(self, resource: Resource, namespace: str, body: Any, kind: type[T], **_: Any) -> T:
        return self._write(lambda: _as(self._server.create(resource, body), kind))

    @override
    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        kind: type[T],
        *,
        subresource: str = "",
        timeout: float | None = None,
    ) -> T:
        wire = msgspec.json.decode(msgspec.json.encode(body))
        where = (namespace, name)
        return self._write(lambda: _as(self._server.patch(resource, where, wire, subresource), kind))

    @override
    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: str = "Background",
        uid: str | None = None,
        grace_period: int | None = None,
    ) -> None:
        self._write(lambda: self._server.delete(resource, (namespace, name), uid, grace_period))

    @override
    async def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str,
        version: str,
        propagation: str = "Background",
    ) -> None:
        def call() -> None:
            then = self._server.at_version(resource, int(version))
            for where in [w for w, b in then.items() if w[0] == namespace and _selected(b, label_selector)]:
                with contextlib.suppress(errors.NotFound):
                    self._server.delete(resource, where)

        self._write(call)

    @override
    async def list_with_version(
        self,
        resource: Resource,
        namespace: str,
        kind: type[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        on_unreadable: OnUnreadable | None = None,
    ) -> tuple[list[T], int]:
        if resource == names.EVENTS:
            return [], self._server.version
        all_ = self._read(lambda: list(self._server.of(resource).items()))
        there = [body for (where, _), body in all_ if namespace in ("", where)]
        found = [_as(body, kind) for body in there if _selected(body, label_selector)]
        return found, self._server.version

    @override
    async def list_page(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing asks for pages but list_with_version")


def _as(body: Json, kind: type[T]) -> T:
    return from_body(body, kind)


def _selected(body: Json, selector: str) -> bool:
    """Whether an object has all of the labels `a=b,c=d`, or just has them where no value is asked for."""
    labels = body["metadata"].get("labels", {})
    wanted = [requirement.partition("=") for requirement in selector.split(",") if requirement]
    return all(labels.get(key) == value if equals else key in labels for key, equals, value in wanted)


class Nobody:
    """Counts nothing."""

    def made_job(self, snapshot: Snapshot, new: NewJob) -> None:
        """Not counted."""

    def recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        """Not counted."""

    def conflicted(self) -> None:
        """Not counted."""

    def sent_event(self) -> None:
        """Not counted."""

    def dropped_event(self, why: str) -> None:
        """Not counted."""

    def gave_up(self, undone: Sequence[str], reason: str) -> None:
        """Not counted."""


def _is_live(body: Json) -> bool:
    return not has_ended(body.get("status", {}).get("phase"))


def _is_labelled(body: Json) -> bool:
    return names.LABEL_EXECUTION_UID in body["metadata"].get("labels", {})


def _owes(body: Json) -> bool:
    return body.get("status", {}).get("settled") is False


@dataclass(frozen=True)
class Watch:
    """A watch of the operator: what it selects, and the view of it."""

    resource: Resource
    kind: Any
    selects: Callable[[Json], bool]


EXECUTIONS: Final = Watch(names.EXECUTIONS, ExecutionView, _is_live)
JOBS: Final = Watch(names.JOBS, JobView, _is_labelled)
PODS: Final = Watch(names.PODS, PodView, _is_labelled)
OWING: Final = Watch(names.EXECUTIONS, OwingView, _owes)
WATCHED: Final = (EXECUTIONS, JOBS, PODS, OWING)


class Replica:
    """One process; `start` it, `deliver` what the watches bring, let it `work`."""

    def __init__(
        self, server: ModelServer, limits: Limits, others_wait: Callable[[], bool] | None = None
    ) -> None:
        self._server = server
        self._limits = limits
        self._others_wait = others_wait or self._most_often
        self.deaths = 0
        self.settled: list[OwingView] = []
        self._asked = 0
        self.start()

    def start(self) -> None:
        """Begin with what the server has, and look at all of it."""
        self.store = ModelStore(self._server)
        self.dirty: dict[WorkKey, None] = {}
        self.timers: dict[WorkKey, datetime] = {}
        most = self._limits.max_owing_runs
        self.cluster = ClusterState(self.store, "", self._wake, max_owing_runs=most)
        self.events = EventEffect(self.store, instance="replica", metrics=Nobody(), wake=lambda _: None)
        self._leftovers = LeftoverReconciler(
            self.store, self.cluster, self._limits, on_found=lambda run: self.events.repeat_recent([run])
        )
        actor = Actor(
            self.store,
            self.cluster,
            limits=self._limits,
            managed=True,
            time_left=lambda: math.inf,
            others_wait=self._others_wait,
            metrics=Nobody(),
            on_recorded=self._recorded,
        )
        self._executions = ExecutionReconciler(self.cluster, actor, self._limits)
        self._duties = DutyReconciler(
            self.store, self.cluster, self._limits, metrics=Nobody(), on_settled=self.settled.append
        )
        self._observed = {watch: len(self._server.log.get(watch.resource.plural, ())) for watch in WATCHED}
        for workflow in self._server.of(names.WORKFLOWS).values():
            self.cluster.workflows.upsert(_as(workflow, WorkflowView))
        self.hear_profiles()
        self.hear_environments()
        ready = {"type": "Ready", "status": "True"}
        node = {"metadata": {"name": "node-1", "resourceVersion": "1"}, "status": {"conditions": [ready]}}
        self.cluster.nodes.cache.upsert(_as(node, NodeView))
        for watch in WATCHED:
            for body in filter(watch.selects, self._server.of(watch.resource).values()):
                if watch is EXECUTIONS:
                    apply_event(self.cluster, watch.resource, None, body)
                else:
                    self._cache(watch).upsert(_as(body, watch.kind))
        self._hear_version()
        self.events.repeat_recent(self.cluster.executions)
        for key in self.cluster.leftovers():
            self._wake(key)

    def hear_environments(self) -> None:
        """Hear all of the Environments, at once."""
        found = [_as(body, EnvironmentView) for body in self._server.of(names.ENVIRONMENTS).values()]
        self.cluster.environments.replace_all(found, self._server.version)

    def hear_profiles(self) -> None:
        """Hear all of the compute profiles; their watch is one of the few that are never late here."""
        found = [_as(body, ProfileView) for body in self._server.of(names.COMPUTE_PROFILES).values()]
        self.cluster.profiles.replace_all(found, self._server.version)

    def deliver(self, watch: Watch, most: int) -> None:
        """Deliver the next few events of a watch; the rest stays on its way."""
        log = self._server.log.get(watch.resource.plural, [])
        begin = self._observed[watch]
        for what, body in log[begin : begin + most]:
            gone = what == "DELETED" or not watch.selects(body)
            if watch is EXECUTIONS:
                apply_event(self.cluster, watch.resource, "DELETED" if gone else what, body)
                continue
            view = _as(body, watch.kind)
            meta = view.metadata
            if gone:
                self._cache(watch).forget(meta.key, meta.uid, meta.version)
            else:
                self._cache(watch).upsert(view)
        self._observed[watch] = min(len(log), begin + most)
        self._hear_version()

    def _hear_version(self) -> None:
        """The informer of Jobs knows up to which version it has observed."""
        log, observed = self._server.log.get(names.JOBS.plural, []), self._observed[JOBS]
        self.cluster.jobs._version = (
            log[observed - 1][1]["metadata"]["resourceVersion"] if observed else "100"
        )

    def deliver_all(self) -> None:
        """Hear everything."""
        for watch in WATCHED:
            self.deliver(watch, 10**9)

    async def work(self) -> bool:
        """Work on the key that has waited longest; False if there is none. After a death it starts again."""
        for key in [key for key, due in self.timers.items() if due <= self._server.now]:
            self._wake(key)
            del self.timers[key]
        if not self.dirty:
            return False
        key = next(iter(self.dirty))
        del self.dirty[key]
        try:
            match key:
                case ExecutionKey():
                    outcome = await self._executions.reconcile(key)
                case LeftoverKey():
                    outcome = await self._leftovers.reconcile(key)
                case DutyKey():
                    outcome = await self._duties.reconcile(key)
                case WorkflowKey() | ScheduleKey():
                    raise AssertionError(key)
        except KilledError:
            self.deaths += 1
            self.start()
            return True
        except errors.Unreadable:
            self.timers[key] = self._server.now + _LATER
            return True
        except (DecideAgain, errors.ApiError):
            self._wake(key)
            return True
        if isinstance(outcome, Waiting):
            self.timers[key] = min(outcome.until, self.timers.get(key, outcome.until))
        return True

    async def send_events(self) -> None:
        """Send the Events that wait. After a death it starts again."""
        try:
            for key in self.events.all_keys():
                await self.events.reconcile(key)
        except KilledError:
            self.deaths += 1
            self.start()

    def _recorded(self, before: ExecutionView, after: ExecutionView) -> None:
        if after.status.has_ended:
            self._leftovers.run_ended(after)
        self.events.recorded(before, after)

    def _most_often(self) -> bool:
        """Whether others wait: a run without others would never have to."""
        self._asked += 1
        return self._asked % 4 != 0

    def _wake(self, key: WorkKey) -> None:
        if not isinstance(key, WorkflowKey | ScheduleKey):  # these reconciles are not simulated here
            self.dirty[key] = None

    def _cache(self, watch: Watch) -> Any:
        cluster = self.cluster
        caches: dict[Watch, Any] = {
            JOBS: cluster.jobs.cache,
            PODS: cluster.pods.cache,
            OWING: cluster.owing.informer.cache,
        }
        return caches[watch]


@contextlib.contextmanager
def the_servers_time(server: ModelServer) -> Iterator[asyncio.Runner]:
    """Everything of the operator asks the model for the time; gives a runner for its coroutines."""

    def now() -> datetime:
        return server.now

    class Monotonic:
        @staticmethod
        def monotonic() -> float:
            return server.now.timestamp()

    with contextlib.ExitStack() as stack:
        for module in (observe, act, children, missing_children, lookups, leftovers, duties, events):
            stack.enter_context(mock.patch.object(module, "utcnow", now))
        for module in (state, lookups):
            stack.enter_context(mock.patch.object(module, "time", Monotonic))
        yield stack.enter_context(asyncio.Runner())
