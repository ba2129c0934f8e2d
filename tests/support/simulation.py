"""One run, its cluster and replicas of the operator, in memory; the test decides what happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st

from nightcrawler_crds import errors, names
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import has_ended
from nightcrawler_crds.v1alpha1 import DutyName
from nightcrawler_operator.limits import Limits
from tests.support.invariants import Invariants
from tests.support.messaging import ModelReceiver
from tests.support.modelserver import Gate, Json, ModelCluster, ModelServer
from tests.support.modelstore import Death
from tests.support.replica import WATCHED, Replica, the_servers_time

LIMITS: Final = Limits(
    max_disruptions=2,
    default_retry_delay=5,
    job_cleanup_after=300,
    failed_job_cleanup_after=600,
    duty_timeout=900,
)
RUN: Final = ("default", "run")
BY_THE_FACADE: Final[tuple[DutyName, ...]] = ("Archive", "Logs")
_MAX_ROUNDS: Final = 2_000
_ROUNDS_A_SECOND: Final = 10
"""Rounds take time: two replicas that both lead may contradict each other until one looks again."""


@dataclass(frozen=True)
class Action:
    """One action of a test; `which` chooses among the objects that it can be done to."""

    what: str
    which: int = 0
    replica: int = 0
    death: Death | None = None
    many: int = 1


which = st.integers(0, 5)
replica = st.integers(0, 1)
deaths = st.builds(Death, st.integers(0, 8), st.booleans())
any_action = st.one_of(
    st.builds(Action, st.just("work"), replica=replica, death=deaths),
    st.builds(Action, st.just("work"), replica=replica),
    st.builds(Action, st.just("observe"), which=st.integers(0, 4), replica=replica, many=st.integers(1, 3)),
    st.builds(Action, st.just("control"), which=which),
    st.builds(Action, st.sampled_from(["kubelet", "kubelet", "fail", "evict", "late end"]), which=which),
    st.builds(Action, st.just("time"), many=st.integers(1, 40)),
    # Long strides, so that runs get anywhere; the small steps above vary the order.
    st.builds(Action, st.just("catch up"), replica=replica),
    st.builds(Action, st.just("catch up"), replica=replica, death=deaths),
    st.builds(Action, st.just("life"), which=which),
)
with_refusals = any_action | st.builds(
    Action, st.sampled_from(["refuse", "refuse", "accept"]), which=st.integers(0, 1)
)
interventions = st.builds(Action, st.sampled_from(["delete pod", "delete job", "garbage"]), which=which)
done_duties = st.builds(Action, st.just("note"), which=which)
effects = st.builds(Action, st.just("effects"), replica=replica, death=st.none() | deaths)
sends = st.builds(Action, st.just("send"), replica=replica, death=st.none() | deaths)
label_losses = st.builds(Action, st.sampled_from(["strip pod", "strip job"]), which=which)

many_examples = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def graphs(draw: st.DrawFn) -> list[Json]:
    """Steps that depend on some of those above them."""
    steps: list[Json] = []
    for number in range(draw(st.integers(1, 4))):
        before = draw(st.lists(st.sampled_from([s["name"] for s in steps]), unique=True)) if steps else []
        step: Json = {"name": f"s{number}", "image": "busybox:1", "retries": draw(st.integers(0, 2))}
        steps.append(step | ({"dependsOn": before} if before else {}))
    return steps


class Simulation:
    """One run, its cluster and the replicas that reconcile it."""

    def __init__(
        self,
        steps: list[Json],
        replicas: int,
        *,
        old_server: bool = False,
        graceful: bool = False,
        late: bool = False,
        spec: Json | None = None,
    ) -> None:
        self.receiver = ModelReceiver()
        self.server = ModelServer(knows_managed_jobs=not old_server)
        self.cluster = ModelCluster(self.server, graceful=graceful)
        workflow = {"steps": steps, "order": "Graph", **(spec or {})}
        self.server.create(names.WORKFLOWS, an_object("Workflow", "wf", workflow))
        self.server.create(names.EXECUTIONS, an_object("WorkflowExecution", RUN[1], self.run()))
        depends = {step["name"]: step.get("dependsOn", []) for step in steps}
        # A request that arrives late is like that of another replica with a stale cache.
        self.invariants = Invariants(
            self.server,
            depends,
            replicas=replicas + late,
            keep=(LIMITS.job_cleanup_after, LIMITS.failed_job_cleanup_after),
            patience=LIMITS.duty_timeout,
        )
        self.replicas = [Replica(self.server, LIMITS, receiver=self.receiver) for _ in range(replicas)]

    def run(self) -> Json:
        """The spec of the run, which is created after its workflow."""
        return {"workflowRef": {"name": "wf"}, "cancel": False}

    @property
    def status(self) -> Json:
        status: Json = self.server.get(names.EXECUTIONS, RUN).get("status", {})
        return status

    async def apply(self, action: Action) -> None:
        """Carry out one action."""
        one = self.replicas[action.replica % len(self.replicas)]
        if action.what in ("work", "catch up", "send", "effects"):
            one.store.live_until(action.death)
            await self._let_work(one, action.what)
        elif action.what == "observe":
            one.deliver(WATCHED[action.which], action.many)
        elif action.what == "life":
            self._advance_cluster(fails=action.which)
        elif action.what == "time":
            self.server.now += timedelta(seconds=action.many)
        elif action.what == "cancel":
            self.server.patch(names.EXECUTIONS, RUN, {"spec": {"cancel": True}})
        elif action.what == "refuse":
            self.server.gates = [_refusing((names.JOBS, names.PODS)[action.which])]
        elif action.what == "accept":
            self.server.gates = []
        elif action.what == "garbage":
            self.cluster.collect_garbage()
        elif action.what == "note":
            self._note_a_duty(action.which)
        elif action.what == "arrive":
            self.server.arrive(action.which)
        else:
            self._change_child(action)

    async def _let_work(self, one: Replica, what: str) -> None:
        match what:
            case "work":
                await one.work()
            case "send":
                await one.send_events()
            case "effects":
                await one.work_on_effects()
            case _:
                await self._catch_up(one)

    def _note_a_duty(self, which: int) -> None:
        """The facade annotates a run that has ended with a duty that it has done."""
        run = self.server.get(names.EXECUTIONS, RUN)
        if not has_ended(self.status.get("phase")):
            return
        done = set(run["metadata"].get("annotations", {}).get(names.ANNOTATION_DUTIES_DONE, "").split(","))
        with_statistics = ",".join(sorted({*done, BY_THE_FACADE[which % len(BY_THE_FACADE)]} - {""}))
        marks = {names.ANNOTATION_DUTIES_DONE: with_statistics}
        self.server.patch(names.EXECUTIONS, RUN, {"metadata": {"annotations": marks}})

    async def _catch_up(self, one: Replica) -> None:
        """Let a replica work until its queue is empty."""
        one.deliver_all()
        for _ in range(_MAX_ROUNDS):
            if not await one.work():
                return
        raise AssertionError(f"the operator never runs out of work: {self.status}")

    def _advance_cluster(self, fails: int | None = None) -> None:
        """Move every Job and Pod one step on; of the Pods, the one at index `fails` fails."""
        for where in self.cluster.jobs():
            self.cluster.control_job(where)
        for number, where in enumerate(self.cluster.pods()):
            self.cluster.run_pod(where, exit_code=int(number == fails))

    def _change_child(self, action: Action) -> None:
        of_job = action.what in ("control", "delete job", "strip job")
        there = self.cluster.jobs() if of_job else self.cluster.pods()
        if not there:
            return
        where = there[action.which % len(there)]
        match action.what:
            case "control":
                self.cluster.control_job(where)
            case "kubelet":
                self.cluster.run_pod(where)
            case "fail":
                self.cluster.run_pod(where, exit_code=1)
            case "evict":
                self.cluster.evict_pod(where)
            case "late end":
                self.cluster.end_container(where)
            case "strip pod" | "strip job":
                self.cluster.strip_labels(names.JOBS if of_job else names.PODS, where)
            case "delete pod":
                # Times in a status are whole seconds: within the same one a deletion counts as the cause.
                self.server.now += timedelta(seconds=1)
                self.cluster.delete_pod(where)
            case "delete job":
                self.server.delete(names.JOBS, where)
            case other:
                raise AssertionError(other)

    async def run_without_faults(self, *, until_clean: bool = False, effects: bool = True) -> None:
        """Let all replicas work without deaths until the run ends; time passes when nothing else is to do.

        Without `effects` neither messages nor traces are sent.
        """
        self.server.gates = []
        for number in range(_MAX_ROUNDS):
            if self._is_over(until_clean):
                return
            if number % _ROUNDS_A_SECOND == _ROUNDS_A_SECOND - 1:
                self.server.now += timedelta(seconds=1)
            before = self.server.version
            self.cluster.collect_garbage()
            self._advance_cluster()
            worked = False
            for one in self.replicas:
                one.store.live_until(None)
                one.deliver_all()
                worked |= await one.work()
                worked |= effects and await one.work_on_effects()
            if not worked and self.server.version == before:
                self._pass_time()
        raise AssertionError(f"the run does not end: {self.status}")

    def _is_over(self, clean: bool) -> bool:
        children = [*self.server.of(names.JOBS), *self.server.of(names.PODS), *self._owned_claims()]
        owes = self.status.get("settled") is False
        return has_ended(self.status.get("phase")) and not (clean and (children or owes))

    def _owned_claims(self) -> list[Json]:
        claims = self.server.of(names.VOLUME_CLAIMS).values()
        return [claim for claim in claims if claim["metadata"].get("ownerReferences")]

    def _pass_time(self) -> None:
        """Move the clock to the next timer of a replica."""
        due = [
            moment for one in self.replicas for moment in (*one.timers.values(), *one.slow.timers.values())
        ]
        assert due, f"no replica has a timer: {self.status}"
        self.server.now = max(self.server.now, min(due))


def _refusing(kind: Resource) -> Gate:
    """The server, or its webhook, does not answer a request that creates such an object."""

    def gate(resource: Resource, _: Json) -> None:
        if resource == kind:
            raise errors.Unavailable("no answer")

    return gate


def an_object(kind: str, name: str, spec: Json) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": RUN[0]}, "spec": spec}


def carry_out(made: Simulation, actions: list[Action]) -> None:
    """Carry out actions, and then run without faults until the run has ended."""

    async def story() -> None:
        for action in actions:
            await made.apply(action)
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())


def simulate(
    steps: list[Json],
    actions: list[Action],
    replicas: int,
    *,
    old_server: bool = False,
    graceful: bool = False,
    late: bool = False,
    spec: Json | None = None,
) -> Simulation:
    """Carry out actions, and then run without faults until nothing is left of the run.

    On an old server, which does not know managed Jobs, the Job controller makes the Pods. A graceful program
    ends with exit code 0 on SIGTERM. If requests may be `late`, the last of them arrive after the
    run has ended.
    """
    made = Simulation(steps, replicas, old_server=old_server, graceful=graceful, late=late, spec=spec)

    async def story() -> None:
        for action in actions:
            await made.apply(action)
        await made.run_without_faults()
        while made.server.in_flight:
            made.server.arrive(0)
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    return made


def with_statistics(made: Simulation) -> Simulation:
    """The same; Hypothesis counts what the examples covered (`--hypothesis-show-statistics`)."""
    event(f"ended {made.status['phase']}")
    event(f"deaths: {min(3, sum(one.deaths for one in made.replicas))}")
    event(f"attempts: {sum(made.invariants.jobs_made.values()) // 3 * 3} or more")
    return made


def assert_right_end(made: Simulation, steps: list[Json], *, deletions: bool = False) -> None:
    """Completed only if every step succeeded; Failed only for a step without attempts left."""
    recorded: dict[str, Any] = made.status["steps"]
    retries = {step["name"]: step["retries"] for step in steps}
    if made.status["phase"] == "Completed":
        assert {step["phase"] for step in recorded.values()} == {"Completed"}
        assert made.status["progress"] == f"{len(steps)}/{len(steps)}"
    else:
        assert made.status["phase"] == "Failed"
        failed = [name for name, step in recorded.items() if step["phase"] == "Failed"]
        assert failed
        for name in failed:
            faults, disruptions = (
                len(made.invariants.faults.get(name, ())),
                recorded[name].get("disruptions", 0),
            )
            assert faults == retries[name] + 1 or disruptions == LIMITS.max_disruptions + 1
    for name, faults_of in made.invariants.faults.items():
        assert len(faults_of) <= retries[name] + 1
    for (name, attempt), count in made.invariants.jobs_made.items():
        # A Job that was deleted before it was observed has left no trace.
        assert count == 1 or deletions, f"the Job of {name}, attempt {attempt}, was made {count} times"
    for name, attempt in made.invariants.jobs_made | made.invariants.jobs_made_after_end:
        assert attempt <= retries[name] + 1 + LIMITS.max_disruptions
