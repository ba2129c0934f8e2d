"""One run, its cluster and the operators that care for it, in memory; what happens is the test's to say."""

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
from tests.support.laws import Laws
from tests.support.modelserver import Gate, Json, ModelCluster, ModelServer
from tests.support.replica import WATCHED, Death, Replica, the_servers_time

LIMITS: Final = Limits(
    max_disruptions=2,
    default_retry_delay=5,
    job_cleanup_after=300,
    failed_job_cleanup_after=600,
    duty_timeout=900,
)
RUN: Final = ("default", "run")
BY_THE_FACADE: Final[tuple[DutyName, ...]] = ("Archive", "Logs")
_PATIENCE: Final = 2_000


@dataclass(frozen=True)
class Act:
    """Something that happens; `which` chooses among what there is to do it to."""

    what: str
    which: int = 0
    replica: int = 0
    death: Death | None = None
    many: int = 1


which = st.integers(0, 5)
replica = st.integers(0, 1)
deaths = st.builds(Death, st.integers(0, 8), st.booleans())
happenings = st.one_of(
    st.builds(Act, st.just("work"), replica=replica, death=deaths),
    st.builds(Act, st.just("work"), replica=replica),
    st.builds(Act, st.just("observe"), which=st.integers(0, 3), replica=replica, many=st.integers(1, 3)),
    st.builds(Act, st.just("control"), which=which),
    st.builds(Act, st.sampled_from(["kubelet", "kubelet", "fail", "evict", "late end"]), which=which),
    st.builds(Act, st.just("time"), many=st.integers(1, 40)),
    # Long strides, so that stories get anywhere; the small steps above mix them up.
    st.builds(Act, st.just("catch up"), replica=replica),
    st.builds(Act, st.just("catch up"), replica=replica, death=deaths),
    st.builds(Act, st.just("life"), which=which),
)
troubles = happenings | st.builds(Act, st.sampled_from(["away", "away", "back"]), which=st.integers(0, 1))
interventions = st.builds(Act, st.sampled_from(["delete pod", "delete job", "garbage"]), which=which)
notes = st.builds(Act, st.just("note"), which=which)
sends = st.builds(Act, st.just("send"), replica=replica, death=st.none() | deaths)
strippings = st.builds(Act, st.sampled_from(["strip pod", "strip job"]), which=which)

thorough = settings(
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
    """One run, its cluster and the replicas that care for it."""

    def __init__(
        self,
        steps: list[Json],
        replicas: int,
        *,
        old_server: bool = False,
        polite: bool = False,
        late: bool = False,
    ) -> None:
        self.server = ModelServer(knows_managed_jobs=not old_server)
        self.cluster = ModelCluster(self.server, polite=polite)
        spec = {"steps": steps, "order": "Graph"}
        self.server.create(names.WORKFLOWS, an_object("Workflow", "wf", spec))
        self.server.create(names.EXECUTIONS, an_object("WorkflowExecution", RUN[1], self.run()))
        depends = {step["name"]: step.get("dependsOn", []) for step in steps}
        # A request that arrives late is that of a second writer who does not know what has come to pass.
        self.laws = Laws(
            self.server,
            depends,
            replicas=replicas + late,
            keep=(LIMITS.job_cleanup_after, LIMITS.failed_job_cleanup_after),
            patience=LIMITS.duty_timeout,
        )
        self.replicas = [Replica(self.server, LIMITS) for _ in range(replicas)]

    def run(self) -> Json:
        """The spec of the run, which is created after its workflow."""
        return {"workflowRef": {"name": "wf"}, "cancel": False}

    @property
    def status(self) -> Json:
        status: Json = self.server.get(names.EXECUTIONS, RUN).get("status", {})
        return status

    async def happens(self, act: Act) -> None:
        """Let something happen."""
        one = self.replicas[act.replica % len(self.replicas)]
        if act.what in ("work", "catch up", "send"):
            one.store.live_until(act.death)
            await self._works(one, act.what)
        elif act.what == "observe":
            one.deliver(WATCHED[act.which], act.many)
        elif act.what == "life":
            self._live_on(fails=act.which)
        elif act.what == "time":
            self.server.now += timedelta(seconds=act.many)
        elif act.what == "cancel":
            self.server.patch(names.EXECUTIONS, RUN, {"spec": {"cancel": True}})
        elif act.what == "away":
            self.server.gates = [_not_taken((names.JOBS, names.PODS)[act.which])]
        elif act.what == "back":
            self.server.gates = []
        elif act.what == "garbage":
            self.cluster.collect_garbage()
        elif act.what == "note":
            self._note_a_duty(act.which)
        elif act.what == "arrive":
            self.server.arrive(act.which)
        else:
            self._to_a_child(act)

    async def _works(self, one: Replica, what: str) -> None:
        match what:
            case "work":
                await one.work()
            case "send":
                await one.send_events()
            case _:
                await self._catch_up(one)

    def _note_a_duty(self, which: int) -> None:
        """The facade notes on a run that has ended what it has done for it."""
        run = self.server.get(names.EXECUTIONS, RUN)
        if not has_ended(self.status.get("phase")):
            return
        done = set(run["metadata"].get("annotations", {}).get(names.ANNOTATION_DUTIES_DONE, "").split(","))
        noted = ",".join(sorted({*done, BY_THE_FACADE[which % len(BY_THE_FACADE)]} - {""}))
        marks = {names.ANNOTATION_DUTIES_DONE: noted}
        self.server.patch(names.EXECUTIONS, RUN, {"metadata": {"annotations": marks}})

    async def _catch_up(self, one: Replica) -> None:
        """A replica works until there is nothing left to do for now, which must not take for ever."""
        one.deliver_all()
        for _ in range(_PATIENCE):
            if not await one.work():
                return
        raise AssertionError(f"the operator turns in circles: {self.status}")

    def _live_on(self, fails: int | None = None) -> None:
        """Everything in the cluster goes one step further; of the Pods that end, that one fails."""
        for where in self.cluster.jobs():
            self.cluster.control_job(where)
        for number, where in enumerate(self.cluster.pods()):
            self.cluster.run_pod(where, exit_code=int(number == fails))

    def _to_a_child(self, act: Act) -> None:
        of_job = act.what in ("control", "delete job", "strip job")
        there = self.cluster.jobs() if of_job else self.cluster.pods()
        if not there:
            return
        where = there[act.which % len(there)]
        match act.what:
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

    async def be_fair(self, *, until_clean: bool = False) -> None:
        """Everybody does their work, nobody dies, and time passes when there is nothing else to do."""
        self.server.gates = []
        for _ in range(_PATIENCE):
            if self._is_over(until_clean):
                return
            before = self.server.version
            self.cluster.collect_garbage()
            self._live_on()
            worked = False
            for one in self.replicas:
                one.store.live_until(None)
                one.deliver_all()
                worked |= await one.work()
            if not worked and self.server.version == before:
                self._pass_time()
        raise AssertionError(f"the run does not end: {self.status}")

    def _is_over(self, clean: bool) -> bool:
        children = [*self.server.of(names.JOBS), *self.server.of(names.PODS)]
        owes = self.status.get("settled") is False
        return has_ended(self.status.get("phase")) and not (clean and (children or owes))

    def _pass_time(self) -> None:
        """To the next moment at which somebody wants to look; nobody is woken otherwise."""
        due = [moment for one in self.replicas for moment in one.timers.values()]
        assert due, f"nobody will ever look again: {self.status}"
        self.server.now = max(self.server.now, min(due))


def _not_taken(kind: Resource) -> Gate:
    """The server, or a webhook that it asks, does not answer who creates such an object."""

    def gate(resource: Resource, _: Json) -> None:
        if resource == kind:
            raise errors.Unavailable("nobody answers")

    return gate


def an_object(kind: str, name: str, spec: Json) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": RUN[0]}, "spec": spec}


def simulate(
    steps: list[Json],
    acts: list[Act],
    replicas: int,
    *,
    old_server: bool = False,
    polite: bool = False,
    late: bool = False,
) -> Simulation:
    """What has become of a run after all that, and then a fair world until nothing of it is left.

    On an old server, which does not know managed Jobs, the Job controller makes the Pods. A polite program
    ends with exit code 0 on SIGTERM. If requests may be `late`, the last of them arrive after the
    run has ended.
    """
    made = Simulation(steps, replicas, old_server=old_server, polite=polite, late=late)

    async def story() -> None:
        for act in acts:
            await made.happens(act)
        await made.be_fair()
        while made.server.on_their_way:
            made.server.arrive(0)
        await made.be_fair(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    return made


def noted(made: Simulation) -> Simulation:
    """The same; and Hypothesis counts what the stories were about (`--hypothesis-show-statistics`)."""
    event(f"ended {made.status['phase']}")
    event(f"deaths: {min(3, sum(one.deaths for one in made.replicas))}")
    event(f"attempts: {sum(made.laws.jobs_made.values()) // 3 * 3} or more")
    return made


def ended_rightly(made: Simulation, steps: list[Json], *, deletions: bool = False) -> None:
    """Completed if every step succeeded; Failed only for a step that used up what it had."""
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
            faults, disruptions = len(made.laws.faults.get(name, ())), recorded[name].get("disruptions", 0)
            assert faults == retries[name] + 1 or disruptions == LIMITS.max_disruptions + 1
    for name, faults_of in made.laws.faults.items():
        assert len(faults_of) <= retries[name] + 1
    for (name, attempt), count in made.laws.jobs_made.items():
        # What was deleted before anybody got to record it has left no trace.
        assert count == 1 or deletions, f"the Job of {name}, attempt {attempt}, was made {count} times"
        assert attempt <= retries[name] + 1 + LIMITS.max_disruptions
