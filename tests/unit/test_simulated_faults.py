"""Whole runs against a model of the API server, with deaths between any two writes.

The operator's own caches, decisions and writes are at work; the model plays the API server, the Job
controller, the garbage collector and the kubelets. Hypothesis chooses the workflow and who does what
when: which events arrive late, who is killed at which write, which Pods fail, vanish or are evicted.
`tests.support.laws` is asked about every write. Afterwards the world is fair, and the run must end.
"""

from __future__ import annotations

from datetime import timedelta

from hypothesis import event, given
from hypothesis import strategies as st

from nightcrawler_crds import errors, names
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import TERMINAL_PHASES
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.modelserver import Json
from tests.support.replica import Death, the_servers_time
from tests.support.simulation import (
    RUN,
    Act,
    Simulation,
    an_object,
    ended_rightly,
    graphs,
    happenings,
    interventions,
    noted,
    simulate,
    strippings,
    thorough,
    troubles,
)


@thorough
@given(graphs(), st.lists(happenings, min_size=20, max_size=80), st.booleans())
def test_a_run_survives_an_operator_that_dies_at_any_write(
    steps: list[Json], acts: list[Act], old_server: bool
) -> None:
    made = noted(simulate(steps, acts, replicas=1, old_server=old_server))

    ended_rightly(made, steps)


@thorough
@given(graphs(), st.lists(happenings, min_size=20, max_size=80), st.booleans())
def test_a_run_survives_two_operators_that_both_lead(
    steps: list[Json], acts: list[Act], old_server: bool
) -> None:
    made = noted(simulate(steps, acts, replicas=2, old_server=old_server))

    ended_rightly(made, steps)


@thorough
@given(graphs(), st.lists(happenings | interventions, min_size=20, max_size=80), st.booleans())
def test_a_run_survives_deleted_pods_and_jobs(steps: list[Json], acts: list[Act], old_server: bool) -> None:
    made = noted(simulate(steps, acts, replicas=1, old_server=old_server))

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
    made = noted(simulate(steps, acts, replicas, old_server=old_server))

    assert made.status["phase"] in TERMINAL_PHASES


@thorough
@given(
    graphs(), st.lists(happenings | strippings, min_size=20, max_size=80), st.integers(1, 2), st.booleans()
)
def test_a_run_survives_pods_and_jobs_that_lose_their_labels(
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
    ended_rightly(noted(made), steps, deletions=True)


def test_a_pod_that_lost_its_label_is_found_by_an_operator_started_later() -> None:
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


@thorough
@given(graphs(), st.lists(troubles, min_size=20, max_size=80), st.integers(1, 2), st.booleans())
def test_a_run_survives_a_server_that_refuses_jobs_or_pods_for_a_while(
    steps: list[Json], acts: list[Act], replicas: int, old_server: bool
) -> None:
    made = noted(simulate(steps, acts, replicas, old_server=old_server))

    ended_rightly(made, steps)


@thorough
@given(
    graphs(),
    st.lists(happenings.filter(lambda act: act.what != "evict"), min_size=20, max_size=80),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_timeout_is_the_programs_fault_after_any_crash_and_a_graceful_exit(
    steps: list[Json], acts: list[Act], replicas: int, old_server: bool
) -> None:
    strict = [{**step, "timeout": 5} for step in steps]

    made = noted(simulate(strict, acts, replicas, old_server=old_server, polite=True))

    ended_rightly(made, strict)
    reasons = [step.get("reason") for step in made.status["steps"].values()]
    event(f"timed out: {conditions.STEP_TIMED_OUT in reasons}")
    assert not any("disruptions" in step for step in made.status["steps"].values())


def test_a_refusal_of_a_job_is_recorded_once_and_not_for_each_try() -> None:
    made = Simulation([{"name": "a", "image": "b:1", "retries": 0}], 1)
    written: list[Json] = []
    tried: list[Json] = []

    def note(resource: Resource, old: Json | None, new: Json | None) -> None:
        status = (new or {}).get("status")
        if resource == names.EXECUTIONS and status != (old or {}).get("status"):
            written.append(status or {})

    def gate(resource: Resource, body: Json) -> None:
        if resource == names.JOBS:
            tried.append(body)
            raise errors.Unavailable('failed calling webhook "w.example.com": nobody listens')

    async def story() -> None:
        made.server.watchers.append(note)
        made.server.gates = [gate]
        for _ in range(60):
            await made.happens(Act("catch up"))
            await made.happens(Act("time"))
        assert made.status["steps"]["a"]["reason"] == conditions.STEP_API_UNAVAILABLE
        assert "the admission webhook 'w.example.com'" in made.status["message"]
        assert (len(tried) > 5, len(written) <= 2) == (True, True)
        await made.be_fair()

    with the_servers_time(made.server) as runner:
        runner.run(story())

    assert made.status["phase"] == "Completed"
    assert "reason" not in made.status["steps"]["a"]


def test_a_job_observed_without_its_pod_is_not_blamed_for_it_later() -> None:
    """A replica that missed the Job looks before it has made its Pod, and hears of the Job's end first."""
    lagging = 0
    acts = [
        Act("work", replica=1),
        Act("work", replica=1),
        *[Act("work", replica=lagging)] * 4,
        Act("life"),
        Act("fail"),
        Act("life"),
        Act("observe", which=1, replica=lagging, many=2),
        Act("work", replica=lagging),
    ]
    steps = [{"name": "s0", "image": "busybox:1", "retries": 0}]

    made = simulate(steps, acts, replicas=2)

    assert "disruptions" not in made.status["steps"]["s0"]
    ended_rightly(made, steps)


def test_what_a_stale_replica_starts_in_an_ended_run_is_ended_again() -> None:
    """The Pod of a step that was cancelled with the run succeeds before the replica has observed anything."""
    after_its_write = Death(0, answered=True)
    acts = [
        Act("work", replica=1, death=after_its_write),
        Act("work"),
        Act("work", death=after_its_write),
        Act("work", replica=1),
        *[Act("work")] * 2,
        Act("life"),
        Act("fail"),
        Act("catch up"),
        Act("life"),
        Act("work", replica=1),
    ]
    steps = [{"name": name, "image": "busybox:1", "retries": 0} for name in ("s0", "s1")]

    made = simulate(steps, acts, replicas=2)

    assert made.laws.jobs_made["s1", 1] == 2
    assert made.status["steps"]["s1"]["phase"] == "Cancelled"


def test_a_pod_force_deleted_without_its_job_is_lost_and_not_waited_for_for_ever() -> None:
    """Its finalizer keeps it, which says nothing: there was no node yet that could say how it ended."""
    acts = [Act("catch up"), Act("delete pod"), Act("delete job"), Act("catch up")]
    steps = [{"name": "s0", "image": "busybox:1", "retries": 0}]

    made = simulate(steps, acts, replicas=1)

    assert made.status["steps"]["s0"]["disruptions"] == 1
    ended_rightly(made, steps, deletions=True)


def test_the_simulation_itself_runs_a_chain_to_its_end() -> None:
    made = simulate([{"name": "a", "image": "b:1", "retries": 0}], [], replicas=1)

    assert (made.status["phase"], made.laws.succeeded) == ("Completed", {"a"})
    assert made.laws.jobs_made == {("a", 1): 1}


def test_an_operator_of_the_simulation_can_die() -> None:
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
        one.cluster.invalidate()
        spec = {"workflowRef": {"name": "wf"}, "cancel": False}
        made.server.create(names.EXECUTIONS, an_object("WorkflowExecution", "second", spec))
        await made.happens(Act("catch up"))
        assert list(made.server.of(names.REVISIONS)) == [removed]

    with the_servers_time(made.server) as runner:
        runner.run(story())
