"""Whole runs against a model of the API server, with deaths between any two writes.

The operator's own caches, decisions and writes are at work; the model plays the API server, the Job
controller, the garbage collector and the kubelets. Hypothesis chooses the workflow and who does what
when: which events arrive late, who is killed at which write, which Pods fail, vanish or are evicted.
`tests.support.laws` is asked about every write. Afterwards the world is fair, and the run must end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import TERMINAL_PHASES, conditions
from nightcrawler_operator.limits import Limits
from tests.support.laws import Laws
from tests.support.modelserver import Json, ModelCluster, ModelServer
from tests.support.replica import WATCHED, Death, Replica, the_servers_time

LIMITS: Final = Limits(max_disruptions=2, default_retry_delay=5, job_cleanup_after=300)
RUN: Final = ("default", "run")
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
    st.builds(Act, st.just("hear"), which=st.integers(0, 2), replica=replica, many=st.integers(1, 3)),
    st.builds(Act, st.just("control"), which=which),
    st.builds(Act, st.sampled_from(["kubelet", "kubelet", "fail", "evict", "late end"]), which=which),
    st.builds(Act, st.just("time"), many=st.integers(1, 40)),
    # Long strides, so that stories get anywhere; the small steps above mix them up.
    st.builds(Act, st.just("catch up"), replica=replica),
    st.builds(Act, st.just("catch up"), replica=replica, death=deaths),
    st.builds(Act, st.just("life"), which=which),
)
interventions = st.builds(Act, st.sampled_from(["delete pod", "delete job", "garbage"]), which=which)
strippings = st.builds(Act, st.sampled_from(["strip pod", "strip job"]), which=which)


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
        self, steps: list[Json], replicas: int, *, old_server: bool = False, late: bool = False
    ) -> None:
        self.server = ModelServer(knows_managed_jobs=not old_server)
        self.cluster = ModelCluster(self.server)
        spec = {"steps": steps, "order": "Graph"}
        self.server.create(names.WORKFLOWS, _object("Workflow", "wf", spec))
        run = {"workflowRef": {"name": "wf"}, "cancel": False}
        self.server.create(names.EXECUTIONS, _object("WorkflowExecution", RUN[1], run))
        depends = {step["name"]: step.get("dependsOn", []) for step in steps}
        # A request that arrives late is that of a second writer who does not know what has come to pass.
        self.laws = Laws(self.server, depends, replicas=replicas + late, keep=LIMITS.job_cleanup_after)
        self.replicas = [Replica(self.server, LIMITS) for _ in range(replicas)]

    @property
    def status(self) -> Json:
        status: Json = self.server.get(names.EXECUTIONS, RUN).get("status", {})
        return status

    async def happens(self, act: Act) -> None:
        """Let something happen."""
        one = self.replicas[act.replica % len(self.replicas)]
        if act.what == "work":
            one.store.live_until(act.death)
            await one.work()
        elif act.what == "hear":
            one.deliver(WATCHED[act.which][0], act.many)
        elif act.what == "catch up":
            one.store.live_until(act.death)
            await self._catch_up(one)
        elif act.what == "life":
            self._live_on(fails=act.which)
        elif act.what == "time":
            self.server.now += timedelta(seconds=act.many)
        elif act.what == "cancel":
            self.server.patch(names.EXECUTIONS, RUN, {"spec": {"cancel": True}})
        elif act.what == "garbage":
            self.cluster.collect_garbage()
        elif act.what == "arrive":
            self.server.arrive(act.which)
        else:
            self._to_a_child(act)

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
                self.cluster.delete_pod(where)
            case "delete job":
                self.server.delete(names.JOBS, where)
            case other:
                raise AssertionError(other)

    async def be_fair(self, *, until_clean: bool = False) -> None:
        """Everybody does their work, nobody dies, and time passes when there is nothing else to do."""
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
        return self.status.get("phase") in TERMINAL_PHASES and not (clean and children)

    def _pass_time(self) -> None:
        """To the next moment at which somebody wants to look; nobody is woken otherwise."""
        due = [moment for one in self.replicas for moment in one.timers.values()]
        assert due, f"nobody will ever look again: {self.status}"
        self.server.now = max(self.server.now, min(due))


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": RUN[0]}, "spec": spec}


def simulate(
    steps: list[Json], acts: list[Act], replicas: int, *, old_server: bool = False, late: bool = False
) -> Simulation:
    """What has become of a run after all that, and then a fair world until nothing of it is left.

    On an old server, which does not know managed Jobs, the Job controller makes the Pods. If requests may be
    `late`, the last of them arrive after the run has ended.
    """
    made = Simulation(steps, replicas, old_server=old_server, late=late)

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


def told(made: Simulation) -> Simulation:
    """The same; and Hypothesis counts what the stories were about (`--hypothesis-show-statistics`)."""
    event(f"ended {made.status['phase']}")
    event(f"deaths: {min(3, sum(one.deaths for one in made.replicas))}")
    event(f"attempts: {sum(made.laws.jobs_made.values()) // 3 * 3} or more")
    return made


thorough = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@thorough
@given(graphs(), st.lists(happenings, min_size=20, max_size=80), st.booleans())
def test_one_operator_that_may_die_at_any_write(steps: list[Json], acts: list[Act], old_server: bool) -> None:
    made = told(simulate(steps, acts, replicas=1, old_server=old_server))

    ended_rightly(made, steps)


@thorough
@given(graphs(), st.lists(happenings, min_size=20, max_size=80), st.booleans())
def test_two_operators_that_both_believe_to_lead(
    steps: list[Json], acts: list[Act], old_server: bool
) -> None:
    made = told(simulate(steps, acts, replicas=2, old_server=old_server))

    ended_rightly(made, steps)


@thorough
@given(graphs(), st.lists(happenings | interventions, min_size=20, max_size=80), st.booleans())
def test_pods_and_jobs_that_are_deleted_underneath(
    steps: list[Json], acts: list[Act], old_server: bool
) -> None:
    made = told(simulate(steps, acts, replicas=1, old_server=old_server))

    ended_rightly(made, steps, deletions=True)


@thorough
@given(
    graphs(),
    st.lists(happenings, min_size=10, max_size=40),
    st.lists(happenings, max_size=30),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_run_that_is_cancelled_ends_once_whatever_happens(
    steps: list[Json], before: list[Act], after: list[Act], replicas: int, old_server: bool
) -> None:
    acts = [*before, Act("cancel"), *after]
    made = told(simulate(steps, acts, replicas, old_server=old_server))

    assert made.status["phase"] in TERMINAL_PHASES


@thorough
@given(
    graphs(), st.lists(happenings | strippings, min_size=20, max_size=80), st.integers(1, 2), st.booleans()
)
def test_children_that_lose_the_labels_by_which_they_are_watched(
    steps: list[Json], acts: list[Act], replicas: int, old_server: bool
) -> None:
    """`Laws` see to it that no step has two live Pods, nor is run again after its success."""
    made = Simulation(steps, replicas, old_server=old_server)

    async def story() -> None:
        for act in acts:
            await made.happens(act)
        await made.be_fair()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    ended_rightly(told(made), steps, deletions=True)


def test_a_pod_that_lost_its_label_is_found_by_whoever_starts_after_that() -> None:
    """It runs on, and the run goes on with its result: no second Pod beside it, and none after it."""
    one = {"image": "busybox:1", "retries": 0}
    made = Simulation([{"name": "s0", **one}, {"name": "s1", "dependsOn": ["s0"], **one}], 1)

    async def story() -> None:
        made.replicas[0].start()
        await made.happens(Act("catch up"))
        made.cluster.run_pod(made.cluster.pods()[0])
        await made.happens(Act("catch up"))
        made.cluster.strip_labels(names.PODS, made.cluster.pods()[0])
        made.replicas[0].start()
        made.server.now += timedelta(seconds=40)
        await made.happens(Act("catch up"))
        assert made.status["steps"]["s0"]["reason"] == conditions.STEP_NOT_WATCHED
        assert len(made.cluster.pods()) == 1
        await made.be_fair()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert made.status["phase"] == "Completed"
    assert made.laws.jobs_made == {("s0", 1): 1, ("s1", 1): 1}


def test_that_a_job_had_no_pod_yet_is_not_held_against_it_later() -> None:
    """A replica that missed the Job looks before it has made its Pod, and hears of the Job's end first."""
    lagging = 0
    acts = [
        Act("work", replica=1),
        Act("work", replica=1),
        *[Act("work", replica=lagging)] * 4,
        Act("life"),
        Act("fail"),
        Act("life"),
        Act("hear", which=1, replica=lagging, many=2),
        Act("work", replica=lagging),
    ]
    steps = [{"name": "s0", "image": "busybox:1", "retries": 0}]

    made = simulate(steps, acts, replicas=2)

    assert "disruptions" not in made.status["steps"]["s0"]
    ended_rightly(made, steps)


def test_a_pod_that_is_forced_out_without_its_job_is_lost_and_not_looked_for_for_ever() -> None:
    """Its finalizer keeps it, which says nothing: there was no node yet that could say how it ended."""
    acts = [Act("catch up"), Act("delete pod"), Act("delete job"), Act("catch up")]
    steps = [{"name": "s0", "image": "busybox:1", "retries": 0}]

    made = simulate(steps, acts, replicas=1)

    assert made.status["steps"]["s0"]["disruptions"] == 1
    ended_rightly(made, steps, deletions=True)


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


def test_the_simulation_itself_runs_a_chain_to_its_end() -> None:
    made = simulate([{"name": "a", "image": "b:1", "retries": 0}], [], replicas=1)

    assert (made.status["phase"], made.laws.succeeded) == ("Completed", {"a"})
    assert made.laws.jobs_made == {("a", 1): 1}


def test_the_simulation_can_die() -> None:
    made = Simulation([{"name": "a", "image": "b:1", "retries": 0}], 1)
    with the_servers_time(made.server) as runner:
        runner.run(_die(made))

    assert made.replicas[0].deaths == 1
    assert "status" not in made.server.get(names.EXECUTIONS, RUN)


async def _die(made: Simulation) -> None:
    made.replicas[0].store.live_until(Death(0, answered=False))
    while not made.replicas[0].deaths:
        assert await made.replicas[0].work()


def test_a_revision_that_another_leader_has_removed_is_written_again() -> None:
    made = Simulation([{"name": "a", "image": "b:1", "retries": 0}], 1)
    one = made.replicas[0]

    async def story() -> None:
        await made.be_fair()
        made.server.watchers.clear()
        [removed] = made.server.of(names.REVISIONS)
        made.server.delete(names.REVISIONS, removed)
        one.world.doubt()
        spec = {"workflowRef": {"name": "wf"}, "cancel": False}
        made.server.create(names.EXECUTIONS, _object("WorkflowExecution", "second", spec))
        await made.happens(Act("catch up"))
        assert list(made.server.of(names.REVISIONS)) == [removed]

    with the_servers_time(made.server) as runner:
        runner.run(story())
