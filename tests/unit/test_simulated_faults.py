"""Whole runs against a model of the API server, with deaths between any two writes.

The operator's own caches, decisions and writes are at work; the model plays the API server, the Job
controller, the garbage collector and the kubelets. Hypothesis chooses the workflow and who does what
when: which events arrive late, who is killed at which write, which Pods fail, vanish or are evicted.
`tests.support.invariants` checks every write. Afterwards no more faults occur, and the run must end.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hypothesis import event, example, given
from hypothesis import strategies as st

from nightcrawler_crds import errors, names
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import TERMINAL_PHASES
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.modelserver import Json
from tests.support.modelstore import Death
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    RUN,
    Action,
    Simulation,
    an_object,
    any_action,
    assert_right_end,
    graphs,
    interventions,
    label_losses,
    many_examples,
    simulate,
    with_refusals,
    with_statistics,
)

_ONE_STEP: Final[Json] = {"name": "s0", "image": "busybox:1", "retries": 0}
_DIES: Final = Action("work", death=Death(write=0, answered=False))
_DIES_LATER: Final = Action("work", death=Death(write=0, answered=True))
_NEXT_WORKS: Final = Action("work", replica=1)
_NEXT_DIES: Final = Action("work", replica=1, death=Death(write=0, answered=False))
_NEXT_CATCHES_UP: Final = Action("catch up", replica=1)
_TWO_LEADERS: Final = [
    *(_DIES, _DIES_LATER, _DIES, _NEXT_WORKS, _DIES, _DIES, _NEXT_WORKS, Action("life"), _NEXT_DIES),
    _NEXT_CATCHES_UP,
]
"""The first replica is about to create a Job that the next one created, and deletes for a cancellation."""

_GONE_UNOBSERVED: Final = [
    *(Action("work"), Action("work"), Action("life")),
    *(Action("delete pod"), Action("late end"), Action("life"), Action("life")),
]
"""A Pod is deleted, its program ends well, and it is gone before the operator observes any of this."""


@many_examples
@given(graphs(), st.lists(any_action, min_size=20, max_size=80), st.booleans())
def test_a_run_survives_an_operator_that_dies_at_any_write(
    steps: list[Json], actions: list[Action], old_server: bool
) -> None:
    made = with_statistics(simulate(steps, actions, replicas=1, old_server=old_server))

    assert_right_end(made, steps)


@many_examples
@given(graphs(), st.lists(any_action, min_size=20, max_size=80), st.booleans())
def test_a_run_survives_two_operators_that_both_lead(
    steps: list[Json], actions: list[Action], old_server: bool
) -> None:
    made = with_statistics(simulate(steps, actions, replicas=2, old_server=old_server))

    assert_right_end(made, steps)


@many_examples
@given(graphs(), st.lists(any_action | interventions, min_size=20, max_size=80), st.booleans())
@example(
    [_ONE_STEP],
    [Action("work"), Action("work"), Action("life"), Action("delete pod"), Action("late end")],
    True,
)
@example([_ONE_STEP], _GONE_UNOBSERVED, True)
def test_a_run_survives_deleted_pods_and_jobs(
    steps: list[Json], actions: list[Action], old_server: bool
) -> None:
    made = with_statistics(simulate(steps, actions, replicas=1, old_server=old_server))

    assert_right_end(made, steps, deletions=True)


@many_examples
@given(
    graphs(),
    st.lists(any_action, min_size=10, max_size=40),
    st.lists(any_action, max_size=30),
    st.integers(1, 2),
    st.booleans(),
)
@example([_ONE_STEP], _TWO_LEADERS, [Action("life"), _NEXT_CATCHES_UP, Action("work")], 2, True)
def test_a_run_that_is_cancelled_ends_once_whatever_happens(
    steps: list[Json], before: list[Action], after: list[Action], replicas: int, old_server: bool
) -> None:
    actions = [*before, Action("cancel"), *after]
    made = with_statistics(simulate(steps, actions, replicas, old_server=old_server))

    assert made.status["phase"] in TERMINAL_PHASES


@many_examples
@given(
    graphs(),
    st.lists(any_action | label_losses, min_size=20, max_size=80),
    st.integers(1, 2),
    st.booleans(),
)
# One of two leaders has looked for the Pod before it began, the other one after.
@example(
    [_ONE_STEP],
    [
        Action("catch up", replica=1),
        Action("time", many=16),
        Action("strip pod"),
        Action("catch up", replica=1, death=Death(5, answered=True)),
    ],
    2,
    False,
)
def test_a_run_survives_pods_and_jobs_that_lose_their_labels(
    steps: list[Json], actions: list[Action], replicas: int, old_server: bool
) -> None:
    """`Invariants` see to it that no step has two live Pods, nor is run again after its success."""
    made = Simulation(steps, replicas, old_server=old_server)

    async def story() -> None:
        for action in actions:
            await made.apply(action)
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert_right_end(with_statistics(made), steps, deletions=True)


def test_a_pod_that_lost_its_label_is_found_by_an_operator_started_later() -> None:
    """It runs on, and the run goes on with its result: no second Pod beside it, and none after it."""
    one = {"image": "busybox:1", "retries": 0}
    made = Simulation([{"name": "s0", **one}, {"name": "s1", "dependsOn": ["s0"], **one}], 1)

    async def story() -> None:
        made.replicas[0].start()
        await made.apply(Action("catch up"))
        made.cluster.run_pod(made.cluster.pods()[0])
        await made.apply(Action("catch up"))
        made.cluster.strip_labels(names.PODS, made.cluster.pods()[0])
        made.replicas[0].start()
        made.server.now += timedelta(seconds=40)
        await made.apply(Action("catch up"))
        assert made.status["steps"]["s0"]["reason"] == conditions.STEP_NOT_WATCHED
        assert len(made.cluster.pods()) == 1
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert made.status["phase"] == "Completed"
    assert made.invariants.jobs_made == {("s0", 1): 1, ("s1", 1): 1}


@many_examples
@given(graphs(), st.lists(with_refusals, min_size=20, max_size=80), st.integers(1, 2), st.booleans())
def test_a_run_survives_a_server_that_refuses_jobs_or_pods_for_a_while(
    steps: list[Json], actions: list[Action], replicas: int, old_server: bool
) -> None:
    made = with_statistics(simulate(steps, actions, replicas, old_server=old_server))

    assert_right_end(made, steps)


@many_examples
@given(
    graphs(),
    st.lists(any_action.filter(lambda action: action.what != "evict"), min_size=20, max_size=80),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_timeout_is_the_programs_fault_after_any_crash_and_a_graceful_exit(
    steps: list[Json], actions: list[Action], replicas: int, old_server: bool
) -> None:
    strict = [{**step, "timeout": 5} for step in steps]

    made = with_statistics(simulate(strict, actions, replicas, old_server=old_server, graceful=True))

    assert_right_end(made, strict)
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
            await made.apply(Action("catch up"))
            await made.apply(Action("time"))
        assert made.status["steps"]["a"]["reason"] == conditions.STEP_API_UNAVAILABLE
        assert "the admission webhook 'w.example.com'" in made.status["message"]
        assert (len(tried) > 5, len(written) <= 2) == (True, True)
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())

    assert made.status["phase"] == "Completed"
    assert "reason" not in made.status["steps"]["a"]


def test_a_job_observed_without_its_pod_is_not_blamed_for_it_later() -> None:
    """A replica lists before the Job has its Pod, and observes the Job's end first."""
    lagging = 0
    actions = [
        Action("work", replica=1),
        Action("work", replica=1),
        *[Action("work", replica=lagging)] * 4,
        Action("life"),
        Action("fail"),
        Action("life"),
        Action("observe", which=1, replica=lagging, many=2),
        Action("work", replica=lagging),
    ]
    steps = [{"name": "s0", "image": "busybox:1", "retries": 0}]

    made = simulate(steps, actions, replicas=2)

    assert "disruptions" not in made.status["steps"]["s0"]
    assert_right_end(made, steps)


def test_what_a_stale_replica_starts_in_an_ended_run_is_ended_again() -> None:
    """The Pod of a step that was cancelled with the run succeeds before the replica has observed anything."""
    after_its_write = Death(0, answered=True)
    actions = [
        Action("work", replica=1, death=after_its_write),
        Action("work"),
        Action("work", death=after_its_write),
        Action("work", replica=1),
        *[Action("work")] * 2,
        Action("life"),
        Action("fail"),
        Action("catch up"),
        Action("life"),
        Action("work", replica=1),
    ]
    steps = [{"name": name, "image": "busybox:1", "retries": 0} for name in ("s0", "s1")]

    made = simulate(steps, actions, replicas=2)

    assert made.invariants.jobs_made["s1", 1] == 1
    assert made.invariants.jobs_made_after_end == {("s1", 1): 1}
    assert made.status["steps"]["s1"]["phase"] == "Cancelled"


def test_a_pod_force_deleted_without_its_job_is_lost_and_not_waited_for_for_ever() -> None:
    """Its finalizer keeps it, which says nothing: there was no node yet that could say how it ended."""
    actions = [Action("catch up"), Action("delete pod"), Action("delete job"), Action("catch up")]
    steps = [{"name": "s0", "image": "busybox:1", "retries": 0}]

    made = simulate(steps, actions, replicas=1)

    assert made.status["steps"]["s0"]["disruptions"] == 1
    assert_right_end(made, steps, deletions=True)


def test_the_simulation_itself_runs_a_chain_to_its_end() -> None:
    made = simulate([{"name": "a", "image": "b:1", "retries": 0}], [], replicas=1)

    assert (made.status["phase"], made.invariants.succeeded) == ("Completed", {"a"})
    assert made.invariants.jobs_made == {("a", 1): 1}


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
        await made.run_without_faults()
        made.server.watchers.clear()
        [removed] = made.server.of(names.REVISIONS)
        made.server.delete(names.REVISIONS, removed)
        one.cluster.invalidate()
        spec = {"workflowRef": {"name": "wf"}, "cancel": False}
        made.server.create(names.EXECUTIONS, an_object("WorkflowExecution", "second", spec))
        await made.apply(Action("catch up"))
        assert list(made.server.of(names.REVISIONS)) == [removed]

    with the_servers_time(made.server) as runner:
        runner.run(story())
