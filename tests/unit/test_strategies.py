"""Which Environment a strategy chooses, by wait, duration and cost, and how it says why."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.roomviews import AskingPodView
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, PastRunView, PastStepsView
from nightcrawler_crds.planning.choice import KEYS, Appraisal, choose
from nightcrawler_crds.planning.choice import why as sentence_of
from nightcrawler_crds.planning.cost import expected_cost
from nightcrawler_crds.planning.duration import Past, expected_duration
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_crds.words.quantities import parse_quantity
from nightcrawler_operator.cluster.past import PastRuns
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.decisions.wait import expected_wait
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import LookForPastRuns
from nightcrawler_operator.snapshot import LiveRun, NodeRoom, Nodes, Outlook
from tests.support.snapshots import a_new_execution, a_spec, a_step, an_environment, at, wire

Json = dict[str, Any]
LIMITS: Final = Limits()
A100: Final = "NVIDIA-A100-SXM4-80GB"


def a_node(pool: str, **amounts: str) -> NodeRoom:
    there = {"cpu": "8", "memory": "32Gi", "pods": "100"} | amounts
    labels = {"pool": pool, "nvidia.com/gpu.product": A100}
    return NodeRoom(f"{pool}-1", labels, {key: parse_quantity(value) for key, value in there.items()})


SLOW: Final = an_environment(
    "slow", nodeSelector={"pool": "slow"}, speed=1, prices={"cpuHour": 0.1, "currency": "USD"}
)
FAST: Final = an_environment(
    "fast", nodeSelector={"pool": "fast"}, speed=4, prices={"cpuHour": 1.0, "currency": "USD"}
)
BUSY: Final = an_environment("busy", nodeSelector={"pool": "busy"}, speed=8, prices={"cpuHour": 0.4})
NODES: Final = Nodes(rooms=tuple(a_node(pool) for pool in ("slow", "fast", "busy")))
FREE: Final = {
    "slow-1": {"cpu": 8.0, "memory": 32e9, "pods": 9.0},
    "fast-1": {"cpu": 8.0, "memory": 32e9, "pods": 9.0},
}
USUAL: Final = {"slow": (3600.0, 3000.0, 4200.0)}
OUTLOOK: Final = Outlook(
    free={**FREE, "busy-1": {"cpu": 0.0, "memory": 0.0, "pods": 9.0}},
    running={"busy": (LiveRun(at(-100), {"busy": (1000.0,)}),)},
    past=Past(USUAL),
)


def placed(strategy: str, *there: EnvironmentView, outlook: Outlook = OUTLOOK, **fields: Any) -> Json:
    """The status of a run that a strategy places among these, or all three."""
    step = a_step(resources={"cpu": 4, "memory": "1 GB"})
    execution = a_new_execution(step, environmentStrategy=strategy, **fields).with_fields(
        environments=there or (SLOW, FAST, BUSY), nodes=NODES, outlook=outlook
    )
    status = decide(execution.build()).status
    assert status is not None
    return dict(status)


def why(status: Json) -> str:
    (said,) = [c["message"] for c in status["conditions"] if c["type"] == conditions.PLACED]
    return str(said)


# --- what each strategy chooses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "chosen", "sentence"),
    [
        (
            "start",
            "fast",
            (
                "runs in fast: it starts there first, at once, and among equals it is quickest "
                "(busy: in about 15 minutes; slow: at once)"
            ),
        ),
        (
            "time",
            "fast",
            (
                "runs in fast: it ends there first, in about 15 minutes (busy: about 22 minutes 30 seconds; "
                "slow: about 1 hour)"
            ),
        ),
        (
            "cost",
            "busy",
            "runs in busy: it costs least there, about 0.20 (fast: about 1.00 USD; slow: about 0.40 USD)",
        ),
    ],
)
def test_a_strategy_chooses_as_a_person_would_and_says_why(strategy: str, chosen: str, sentence: str) -> None:
    status = placed(strategy)
    assert status["environment"] == chosen
    assert why(status) == sentence


def test_the_status_has_each_candidate_with_its_numbers_and_why_it_was_passed_over() -> None:
    closed = an_environment("closed", state="Cordoned")
    other = an_environment("other", nodeSelector={"pool": "none"}, nodes="Fixed")
    status = placed("time", SLOW, FAST, closed, other)
    by_name = {one["environment"]: one for one in status["placement"]}
    assert by_name["fast"] == {
        "environment": "fast",
        "wait": 0.0,
        "duration": 900.0,
        "cost": 1.0,
        "currency": "USD",
    }
    assert by_name["slow"]["passedOver"] == "fast is better for time: about 15 minutes"
    assert by_name["closed"]["passedOver"] == "it is cordoned"
    assert by_name["other"] == {
        "environment": "other",
        "passedOver": "no node of the environment 'other' could hold the step 'train': "
        "no node has the labels and GPUs that it asks for",
    }


def test_the_listed_environments_are_the_candidates_and_an_asked_for_one_is_the_only_one() -> None:
    assert placed("time", environments=["slow", "busy", "mars"])["environment"] == "busy"
    execution = a_new_execution(environmentStrategy="cost").with_fields(
        environments=(SLOW, FAST), outlook=OUTLOOK
    )
    status = decide(execution.with_spec(environment="fast").build()).status
    assert status is not None
    assert why(dict(status)) == "runs in fast: asked for by the execution"
    assert "placement" not in status


def test_if_all_are_cordoned_it_waits_and_if_none_is_possible_it_is_refused() -> None:
    window = {"start": wire(0), "end": wire(60)}
    serviced = an_environment("serviced", maintenance=[window])
    status = placed("start", serviced, an_environment("closed", state="Cordoned"))
    assert status["message"].startswith("waits for one of its environments to be opened (closed: it is")
    never = [an_environment(name, nodes="Fixed", nodeSelector={"pool": "none"}) for name in ("a", "b")]
    status = placed("start", *never)
    assert status["phase"] == "Failed"
    assert "no node of the environment 'a' could hold" in status["message"]


def test_what_the_status_cannot_have_is_left_out_and_the_chosen_one_comes_first() -> None:
    many = [an_environment(f"e{number:02}", state="Cordoned") for number in range(70)]
    window = {"start": wire(0), "end": wire(60), "description": "x" * 1024}
    status = placed("cost", *many, SLOW, an_environment("a", maintenance=[window]))
    shown = [one["environment"] for one in status["placement"]]
    assert (len(shown), shown[:3]) == (64, ["slow", "a", "e00"])
    assert len(status["placement"][1]["passedOver"]) == 1024


def test_costs_in_another_currency_are_not_compared() -> None:
    euros = an_environment("euros", prices={"cpuHour": 0.0001, "currency": "EUR"})
    status = placed("cost", FAST, SLOW, an_environment("zz-euros", prices=euros.spec["prices"]))
    assert status["environment"] == "slow"
    assert {one["environment"]: one for one in status["placement"]}["zz-euros"][
        "passedOver"
    ] == "its prices are in EUR, and those of others in USD"


def test_past_runs_are_looked_up_before_a_strategy_decides() -> None:
    execution = a_new_execution(environmentStrategy="cost").with_fields(
        environments=(SLOW, FAST), outlook=Outlook()
    )
    assert decide(execution.build()).lookups == (LookForPastRuns(),)


def test_a_run_whose_jobs_were_created_somewhere_stays_there() -> None:
    execution = a_new_execution(environmentStrategy="cost").with_fields(
        environments=(SLOW, FAST), outlook=OUTLOOK, named_environment="fast"
    )
    status = decide(execution.build()).status
    assert status is not None
    assert status["environment"] == "fast"


# --- never a dominated one ---------------------------------------------------------------------------

numbers = st.integers(0, 3).map(float)
appraisals = st.builds(
    Appraisal,
    name=st.just("x"),
    wait=numbers,
    duration=numbers,
    cost=numbers,
    passed_over=st.sampled_from([None, None, None, "cordoned"]),
)


@given(st.sampled_from(sorted(KEYS)), st.lists(appraisals, max_size=6))
def test_a_strategy_never_chooses_a_dominated_candidate(strategy: Any, there: list[Appraisal]) -> None:
    chosen = choose(strategy, there)
    left = [one for one in there if one.passed_over is None]
    if chosen is None:
        assert not left
        return
    assert chosen.passed_over is None
    mine = (chosen.wait, chosen.duration, chosen.cost)
    for one in left:
        theirs = (one.wait, one.duration, one.cost)
        assert not (all(t <= m for t, m in zip(theirs, mine, strict=True)) and theirs != mine)
    first = {"start": "wait", "time": "end", "cost": "cost"}[strategy]
    assert getattr(chosen, first) == min(getattr(one, first) for one in left)


@pytest.mark.parametrize(
    ("strategy", "there", "decided"),
    [
        ("start", [(0, 10, 5), (0, 20, 1)], "and among equals it is quickest"),
        ("start", [(0, 10, 1), (0, 10, 5)], "and among equals it costs least"),
        ("time", [(1, 9, 5), (5, 5, 1)], "and among equals it starts first"),
        ("time", [(1, 9, 1), (1, 9, 5)], "and among equals it costs least"),
        ("cost", [(1, 9, 1), (5, 5, 1)], "and among equals it starts first"),
        ("cost", [(1, 5, 1), (1, 9, 1)], "and among equals it is quickest"),
        ("cost", [(1, 5, 1), (1, 5, 1)], ""),
        ("cost", [(1, 5, 1), (0, 0, 9)], ""),
    ],
)
def test_what_decides_between_equals_is_said(strategy: Any, there: Any, decided: str) -> None:
    appraised = [Appraisal(f"place-{number}", *numbers) for number, numbers in enumerate(there)]
    chosen = choose(strategy, appraised)
    assert chosen is appraised[0]
    sentence = sentence_of(strategy, chosen, appraised)
    assert ("among equals" in sentence) == bool(decided)
    assert decided in sentence


# --- the numbers -------------------------------------------------------------------------------------


def a_revision(*steps: Any, **fields: Any) -> Revision:
    return Revision("wf-rev", a_spec(*steps, **fields))


SPECS: Final = {"slow": EnvironmentSpec(speed=1), "fast": EnvironmentSpec(speed=4)}


@pytest.mark.parametrize(
    ("usual", "revision", "seconds"),
    [
        ({"fast": (10.0, 30.0, 20.0), "slow": (999.0,)}, a_revision("a"), 20.0),
        ({"slow": (400.0, 800.0)}, a_revision("a"), 150.0),
        ({"gone": (400.0,)}, a_revision("a"), 100.0),
        ({}, a_revision(a_step("a", timeout="40s"), a_step("b", timeout="80s")), 30.0),
        (
            {},
            a_revision(a_step("a", timeout="40s"), a_step("b", timeout="80s"), order="Graph"),
            20.0,
        ),
        ({}, a_revision("a", config={"timeout": "400s"}), 100.0),
    ],
)
def test_the_duration_is_the_usual_one_there_or_the_best_guess(
    usual: Any, revision: Revision, seconds: float
) -> None:
    assert expected_duration("fast", SPECS, Past(usual), revision, LIMITS) == seconds


@pytest.mark.parametrize(
    ("steps", "revision", "seconds"),
    [
        pytest.param(
            {"fast": {"a": (10.0, 30.0, 20.0), "b": (5.0,)}},
            a_revision("a", "b"),
            25.0,
            id="medians in sequence",
        ),
        pytest.param(
            {"fast": {"a": (20.0,), "b": (5.0,)}},
            a_revision("a", "b", order="Graph"),
            20.0,
            id="the longest way",
        ),
        pytest.param(
            {"slow": {"a": (80.0,), "b": (40.0,)}}, a_revision("a", "b"), 30.0, id="scaled by speed"
        ),
        pytest.param(
            {"fast": {"a": (20.0,)}, "slow": {"a": (999.0,), "b": (40.0,)}},
            a_revision("a", "b"),
            30.0,
            id="those there go before those elsewhere",
        ),
        pytest.param(
            {"fast": {"a": (20.0,)}},
            a_revision("a", a_step("b", timeout="80s")),
            40.0,
            id="for a step without any its timeout",
        ),
        pytest.param(
            {"fast": {"a": (50.0,)}},
            a_revision("a", "b", config={"timeout": "60s"}),
            60.0,
            id="at most the timeout",
        ),
        pytest.param(
            {"fast": {"gone": (1.0,)}}, a_revision(a_step("a", timeout="40s")), 10.0, id="none of these"
        ),
    ],
)
def test_without_a_completed_run_the_duration_is_that_of_its_steps(
    steps: Any, revision: Revision, seconds: float
) -> None:
    assert expected_duration("fast", SPECS, Past(steps=steps), revision, LIMITS) == seconds
    completed = Past({"fast": (7.0,)}, steps)
    assert expected_duration("fast", SPECS, completed, revision, LIMITS) == 7.0


PRICES: Final = {
    "cpuHour": 0.5,
    "memoryGbHour": 0.1,
    "gpuHour": 1.0,
    "gpuHourByModel": {"A100": 3.0, "H100": 8},
}


@pytest.mark.parametrize(
    ("resources", "cost"),
    [
        ({}, 0.0),
        ({"cpu": 4}, 2.0),
        ({"memory": "10 GB"}, 1.0),
        ({"gpu": "2x A100"}, 6.0),
        ({"gpu": "2x NVIDIA A100 80GB"}, 6.0),
        ({"gpu": "1x H100"}, 8.0),
        ({"gpu": "2x T4"}, 2.0),
        ({"gpu": 2}, 2.0),
        ({"cpu": 2, "memory": "10 GB", "gpu": "1x A100"}, 5.0),
    ],
)
def test_the_cost_of_an_hour_is_what_is_asked_for_at_the_prices_there(resources: Json, cost: float) -> None:
    spec = EnvironmentSpec.model_validate({"prices": PRICES})
    revision = a_revision(a_step(resources=resources))
    assert expected_cost(revision, spec, 3600, {A100}, LIMITS) == pytest.approx(cost)


def test_steps_that_follow_each_other_share_the_time_and_parallel_ones_do_not() -> None:
    spec = EnvironmentSpec.model_validate({"prices": {"cpuHour": 1.0}})
    steps = [a_step(name, resources={"cpu": 1}) for name in ("a", "b")]
    assert expected_cost(a_revision(*steps), spec, 3600, (), LIMITS) == pytest.approx(1.0)
    side_by_side = a_revision(*steps, order="Graph")
    assert expected_cost(side_by_side, spec, 3600, (), LIMITS) == pytest.approx(2.0)


ROOM_FOR_TWO: Final = {"lab-1": {"cpu": 8.0, "memory": 64e9, "pods": 9.0}}


@pytest.mark.parametrize(
    ("outlook", "nodes", "wait"),
    [
        (Outlook(free=ROOM_FOR_TWO), "Fixed", 0.0),
        (Outlook(free=ROOM_FOR_TWO, waiting={"lab": 1}), "Fixed", 0.0),
        # Nothing of ours runs there, so it is unknown when there will be room.
        (Outlook(free=ROOM_FOR_TWO, waiting={"lab": 2}), "Fixed", 86400.0),
        (Outlook(free=ROOM_FOR_TWO, waiting={"lab": 2}), "Autoscaled", 300.0),
        (Outlook(free={}, running={"lab": (LiveRun(at(-50), {"lab": (200.0,)}),)}), "Fixed", 150.0),
        (Outlook(free={}, running={"lab": (LiveRun(at(-50), {}),)}), "Fixed", 50.0),
        (Outlook(free={}, running={"lab": (LiveRun(at(-500), {}),)}), "Fixed", 0.0),
        (
            Outlook(free={}, running={"lab": (LiveRun(at(0), {"lab": (200.0,)}),)}, waiting={"lab": 2}),
            "Fixed",
            400.0,
        ),
        (Outlook(free=None), "Fixed", 86400.0),
    ],
)
def test_the_wait_is_until_there_is_room_for_those_before_it_too(
    outlook: Outlook, nodes: Any, wait: float
) -> None:
    there = Nodes(rooms=(a_node("lab"),))
    revision = a_revision(a_step("a", resources={"cpu": 4}), a_step("b", resources={"cpu": 64}))
    spec = EnvironmentSpec(nodes=nodes)
    assert expected_wait("lab", spec, revision, outlook, there, LIMITS, 100.0, at(0)) == wait


@pytest.mark.parametrize(
    ("most", "running", "ahead", "wait"),
    [
        pytest.param(3, (10, 50), 0, 0.0, id="a place is free"),
        pytest.param(2, (10, 50), 0, 10.0, id="until the first has ended"),
        pytest.param(2, (10, 50), 1, 50.0, id="one is ahead"),
        pytest.param(2, (10, 50), 2, 110.0, id="after the one that follows the first"),
        pytest.param(2, (10,), 1, 10.0, id="the other one has its place and has not started"),
        pytest.param(1, (), 1, 100.0, id="the only one has not started"),
        pytest.param(1, (10, 50), 0, 50.0, id="more are under way than may be"),
    ],
)
def test_under_a_limit_the_wait_is_that_for_the_turn_whatever_room_there_is(
    most: int, running: tuple[int, ...], ahead: int, wait: float
) -> None:
    runs = tuple(LiveRun(at(left - 100), {"lab": (100.0,)}) for left in running)
    outlook = Outlook(
        free={"lab-1": {"cpu": 99.0, "pods": 99.0}}, running={"lab": runs}, waiting={"lab": ahead}
    )
    spec = EnvironmentSpec(max_running=most, nodes="Autoscaled")
    there, revision = Nodes(rooms=(a_node("lab"),)), a_revision(a_step("a", resources={"cpu": 4}))

    assert expected_wait("lab", spec, revision, outlook, there, LIMITS, 100.0, at(0)) == wait


def a_past_run(number: int, phase: str = "Completed") -> PastRunView:
    status = {
        "phase": phase,
        "environment": "lab",
        "startTime": wire(number * 100),
        "completionTime": wire(number * 100 + number),
    }
    return msgspec.convert(
        {"metadata": {"name": f"run-{number}"}, "status": status}, PastRunView, strict=False
    )


def test_the_usual_time_is_of_the_last_ten_completed_runs() -> None:
    past, workflow = PastRuns(), ("default", "wf")
    assert past.of(workflow) is None
    assert past.runs_of(workflow) == {}
    runs = [a_past_run(number) for number in (12, *range(1, 12))]
    past.note(workflow, [*runs, a_past_run(99, "Failed")])
    assert past.of(workflow) == Past({"lab": tuple(float(number) for number in range(3, 13))})
    past.clear()
    assert past.of(workflow) is None


def with_steps(name: str, phase: str = "Failed", **seconds: int) -> ExecutionView:
    """A run in lab that ended after steps that completed in so many seconds."""
    times = {"startTime": wire(0), "phase": "Completed", "attempt": 1}
    steps = {step: times | {"completionTime": wire(long)} for step, long in seconds.items()}
    steps["last"] = {"phase": "Failed", "startTime": wire(0), "completionTime": wire(999)}
    status = {"phase": phase, "environment": "lab", "startTime": wire(0), "completionTime": wire(60)}
    body = {"metadata": {"name": name, "namespace": "default"}, "spec": {"workflowRef": {"name": "wf"}}}
    return msgspec.convert(body | {"status": status | {"steps": steps}}, ExecutionView, strict=False)


def test_the_times_of_steps_are_known_until_a_run_has_completed() -> None:
    past, workflow = PastRuns(), ("default", "wf")
    past.run_ended(with_steps("before it was looked up", a=5))
    earlier = msgspec.convert(msgspec.to_builtins(with_steps("r", a=10, b=20)), PastStepsView, strict=False)
    past.note(workflow, [], [earlier])
    past.run_ended(with_steps("then", a=30))
    assert past.of(workflow) == Past(steps={"lab": {"a": (10.0, 30.0), "b": (20.0,)}})

    past.run_ended(with_steps("well", "Completed", a=1))
    past.run_ended(with_steps("not so well", a=2))
    assert past.of(workflow) == Past({"lab": (60.0,)})


def test_the_times_of_few_steps_are_kept_in_all() -> None:
    past = PastRuns()
    many = {f"s{number}": 1 for number in range(1_000)}
    view = msgspec.convert(msgspec.to_builtins(with_steps("r", **many)), PastStepsView, strict=False)
    for number in range(21):
        past.note(("default", f"wf-{number}"), [], [view])
    assert past.of(("default", "wf-0")) == Past()
    assert past.of(("default", "wf-1")) != Past()


def test_a_pod_takes_what_its_containers_ask_for_or_its_largest_init_container() -> None:
    def asks(cpu: str, **more: Any) -> Json:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "nodeName": "n",
        "containers": [asks("1"), {"resources": {"limits": {"nvidia.com/gpu": "2", "memory": "1Gi"}}}],
        "initContainers": [asks("500m", restartPolicy="Always"), asks("4")],
        "overhead": {"cpu": "250m"},
    }
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, AskingPodView, strict=False)
    assert dict(pod.spec.requests) == {"cpu": 4.25, "nvidia.com/gpu": 2.0, "memory": 2.0**30}
    assert pod.spec.containers == ()
    as_a_whole = spec | {"resources": {"requests": {"cpu": "8"}}}
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": as_a_whole}, AskingPodView, strict=False)
    assert dict(pod.spec.requests)["cpu"] == 8.25
