"""Environments, their nodes, everybody's Pods and runs, and the operators that write status, in memory.

The operators' decisions, caches and writes are the real ones. What comes and goes, what is delivered when,
who dies at which write and how time passes is the test's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.nativeviews import NodeView
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.roomviews import AskingPodView
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster import observe_environment
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.cluster.watch_events import apply_event
from nightcrawler_operator.keys import EnvironmentKey, WorkKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.reconcilers import environment as reconciler
from nightcrawler_operator.reconcilers.environment import EnvironmentReconciler
from tests.support.expectedenvironments import CORES, GPUS, MOST_PODS, expected, is_selected, shown
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import Death, ModelStore
from tests.support.workloop import WorkLoop, model_time

ENVIRONMENTS: Final = ("east", "west")
NODES: Final = ("n0", "n1", "n2")
_PATIENCE: Final = 500
_SPACING: Final = Limits().environment_status_spacing
_WATCHES: Final = (names.ENVIRONMENTS, names.EXECUTIONS, names.NODES, names.PODS)


@dataclass(frozen=True)
class Act:
    """Something that happens to the `which`-th of what there is."""

    what: str
    which: int = 0
    many: int = 1
    replica: int = 0
    death: Death | None = None


class CountedStore(ModelStore):
    """Notes when an Environment's status is written, by a process in its present life."""

    def __init__(self, server: ModelServer) -> None:
        super().__init__(server)
        self.written: dict[str, list[datetime]] = {}

    @override
    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Any, kind: Any, **more: Any
    ) -> Any:
        assert body["status"], "an empty change is written"
        before = self._server.version
        written = await super().patch(resource, namespace, name, body, kind, **more)
        assert self._server.version > before, f"nothing has changed, and is written: {body['status']}"
        times = self.written.setdefault(name, [])
        if times:
            apart = (self._server.now - times[-1]).total_seconds()
            assert apart >= _SPACING, f"{name} is written again after {apart:g} s"
        times.append(self._server.now)
        return written


class WritingReplica(WorkLoop):
    """One process, as far as the status of Environments is concerned."""

    @override
    def start(self) -> None:
        """Begin with what the server has, and look at all of it."""
        self.store = CountedStore(self._server)
        self.dirty, self.timers = {}, {}
        self.cluster = ClusterState(self.store, "", self._wake_later)
        self.environments = EnvironmentReconciler(self.store, self.cluster, Limits(), all_runs=True)
        self._observed = dict.fromkeys(_WATCHES, 0)
        self._follows = False
        self.cluster.nodes.synced.set()
        self.deliver(10**9)
        for key in self.environments.all_keys():
            self._wake(key)

    def deliver(self, most: int) -> None:
        """Hear the next few events of each kind; the rest stays on its way."""
        for watch in _WATCHES:
            if watch == names.PODS and not self._follow():
                continue
            log = self._server.log.get(watch.plural, [])
            begin = self._observed[watch]
            for what, body in log[begin : begin + most]:
                self._hear(watch, what if is_selected(watch, body) else "DELETED", body)
            self._observed[watch] = min(len(log), begin + most)

    def _follow(self) -> bool:
        """Begin or end to follow the Pods, as `Room.run` does; whether they are followed."""
        room = self.cluster.room
        if room.is_followed and not self._follows:
            there = [pod for pod in self._server.of(names.PODS).values() if is_selected(names.PODS, pod)]
            room.informer.cache.replace_all(
                [from_body(pod, AskingPodView) for pod in there], self._server.version
            )
            room.informer.synced.set()
            self._observed[names.PODS] = len(self._server.log.get(names.PODS.plural, []))
        elif self._follows and not room.is_followed:
            room.forget()
        self._follows = room.is_followed
        return self._follows

    def _hear(self, watch: Resource, what: str, body: Json) -> None:
        if watch in names.OURS:
            apply_event(self.cluster, watch, what, body)
            return
        cache: Any = self.cluster.nodes.cache if watch == names.NODES else self.cluster.room.informer.cache
        kind: Any = NodeView if watch == names.NODES else AskingPodView
        view = from_body(body, kind)
        if what == "DELETED":
            cache.forget(view.metadata.key, view.metadata.uid, view.metadata.version)
        else:
            cache.upsert(view)

    @override
    async def _reconcile(self, key: WorkKey) -> object:
        assert isinstance(key, EnvironmentKey)
        return await self.environments.reconcile(key)

    @override
    def _wake(self, key: WorkKey) -> None:
        self.dirty[key] = None

    def _wake_later(self, key: WorkKey) -> None:
        """As the controller does, which lets changes share a reconcile."""
        if isinstance(key, EnvironmentKey):
            moment = self._server.now + timedelta(seconds=self.environments.wake_delay)
            self.timers[key] = min(moment, self.timers.get(key, moment))


class EnvironmentStory:
    """Two Environments at most, three nodes at most, and Pods and runs on them."""

    def __init__(self, replicas: int) -> None:
        self.server = ModelServer()
        for name in ENVIRONMENTS:
            self._environment(name)
        for name in NODES:
            self._node(name)
        self._made = 0
        self.replicas = [WritingReplica(self.server) for _ in range(replicas)]

    def _environment(self, name: str) -> None:
        spec = {"nodeSelector": {"pool": name}, "nodes": "Fixed"}
        body = {"kind": "Environment", "metadata": {"name": name}, "spec": spec}
        if ("", name) not in self.server.of(names.ENVIRONMENTS):
            self.server.create(names.ENVIRONMENTS, body)

    def _node(self, name: str) -> None:
        pool = ENVIRONMENTS[NODES.index(name) % len(ENVIRONMENTS)]
        offers = {"cpu": str(CORES), "memory": "32Gi", "pods": str(MOST_PODS), "nvidia.com/gpu": str(GPUS)}
        labels = {"pool": pool, "nvidia.com/gpu.product": "NVIDIA-L4"}
        body = {
            "metadata": {"name": name, "labels": labels},
            "spec": {},
            "status": _ready(True) | {"allocatable": offers},
        }
        if ("", name) not in self.server.of(names.NODES):
            self.server.create(names.NODES, body)

    async def happens(self, act: Act) -> None:
        """Let something happen."""
        one = self.replicas[act.replica % len(self.replicas)]
        match act.what:
            case "work" | "catch up":
                one.store.live_until(act.death)
                if act.what == "catch up":
                    one.deliver(10**9)
                await one.work()
            case "observe":
                one.deliver(act.many)
            case "rest":
                await self.settle()
            case "time":
                self.server.now += timedelta(seconds=act.many)
            case "environment" | "no environment" | "cordon" | "open" | "maintain":
                self._to_an_environment(act)
            case "node" | "no node" | "drain" | "undrain" | "lost" | "back":
                self._to_a_node(act)
            case "pod" | "end pod" | "no pod":
                self._to_a_pod(act)
            case _:
                self._to_a_run(act)

    def _to_an_environment(self, act: Act) -> None:
        name = ENVIRONMENTS[act.which % len(ENVIRONMENTS)]
        if act.what == "environment":
            self._environment(name)
        elif ("", name) not in self.server.of(names.ENVIRONMENTS):
            return
        elif act.what == "no environment":
            self.server.delete(names.ENVIRONMENTS, ("", name))
        else:
            begin = self.server.now + timedelta(seconds=3 * act.many)
            window = {"start": to_wire(begin), "end": to_wire(begin + timedelta(seconds=5 * act.many))}
            spec: Json = {"maintenance": [window]}
            if act.what != "maintain":
                spec = {"state": "Cordoned" if act.what == "cordon" else "Open"}
            self.server.patch(names.ENVIRONMENTS, ("", name), {"spec": spec})

    def _to_a_node(self, act: Act) -> None:
        name = NODES[act.which % len(NODES)]
        if act.what == "node":
            self._node(name)
        elif ("", name) not in self.server.of(names.NODES):
            return
        elif act.what == "no node":
            self.server.delete(names.NODES, ("", name))
        elif act.what in ("drain", "undrain"):
            spec = {"unschedulable": True if act.what == "drain" else None}
            self.server.patch(names.NODES, ("", name), {"spec": spec})
        else:
            self.server.patch(names.NODES, ("", name), {"status": _ready(act.what == "back")}, "status")

    def _to_a_pod(self, act: Act) -> None:
        """Somebody's Pod comes to a node, ends, or is deleted."""
        there = list(self.server.of(names.PODS))
        if act.what == "pod":
            self._made += 1
            asked = {"cpu": f"{500 * act.many}m", "nvidia.com/gpu": str(act.many % 2)}
            spec = {
                "nodeName": NODES[act.which % len(NODES)],
                "containers": [{"resources": {"requests": asked}}],
            }
            meta = {"name": f"pod-{self._made}", "namespace": "theirs"}
            self.server.create(names.PODS, {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})
        elif there and act.what == "end pod":
            self.server.patch(
                names.PODS, there[act.which % len(there)], {"status": {"phase": "Succeeded"}}, "status"
            )
        elif there:
            self.server.delete(names.PODS, there[act.which % len(there)], grace=0)

    def _to_a_run(self, act: Act) -> None:
        """A run is created, placed, starts, ends or is deleted."""
        runs = self.server.of(names.EXECUTIONS)
        if act.what == "run":
            self._made += 1
            meta = {"name": f"run-{self._made}", "namespace": "default"}
            self.server.create(names.EXECUTIONS, {"metadata": meta, "spec": {"workflowRef": {"name": "wf"}}})
            return
        if not runs:
            return
        where = list(runs)[act.which % len(runs)]
        place = {"environment": ENVIRONMENTS[act.many % len(ENVIRONMENTS)], "phase": "Pending"}
        recorded = {
            "place": place,
            "start": {"startTime": to_wire(self.server.now)},
            "end": {"phase": "Completed"},
        }
        if act.what == "no run":
            self.server.delete(names.EXECUTIONS, where)
        elif "environment" in runs[where].get("status", {}) or act.what == "place":
            self.server.patch(names.EXECUTIONS, where, {"status": recorded[act.what]}, "status")

    async def settle(self) -> None:
        """Everybody hears everything and works, and nobody dies, until nothing more is written.

        Then every status is as it should be.
        """
        for _ in range(_PATIENCE):
            before = self.server.version
            for one in self.replicas:
                one.store.live_until(None)
                one.deliver(10**9)
                while await one.work():
                    pass
            soon = self.server.now + timedelta(seconds=_SPACING)
            due = [moment for one in self.replicas for moment in one.timers.values() if moment <= soon]
            if self.server.version == before and not due:
                for _, name in self.server.of(names.ENVIRONMENTS):
                    assert shown(self.server, name) == expected(self.server, name)
                return
            self.server.now = max(self.server.now, min(due, default=self.server.now))
        raise AssertionError("it does not come to rest")


def _ready(ready: bool) -> Json:
    return {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}


def tell(story: EnvironmentStory, acts: list[Act]) -> None:
    """Let it all happen, and then come to rest."""

    async def play() -> None:
        for act in acts:
            await story.happens(act)
        await story.settle()

    modules = (observe_environment, reconciler)
    with model_time(lambda: story.server.now, utcnow=modules, monotonic=(reconciler,)) as runner:
        runner.run(play())
