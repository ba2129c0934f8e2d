"""Which Environment a strategy chooses, by wait, duration and cost, and how it says why."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.planning.choice import KEYS, Appraisal, choose
from nightcrawler_crds.planning.choice import why as sentence_of
from nightcrawler_crds.planning.duration import Past
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import LookForPastRuns
from nightcrawler_operator.snapshot import LiveRun, Outlook
from tests.support.snapshots import a_new_execution, a_step, an_environment, at, wire

Json = dict[str, Any]


def a_node(pool: str) -> NodeRoom:
    return NodeRoom(f"{pool}-1", {"pool": pool}, {"cpu": 8.0, "memory": 32 * 2.0**30, "pods": 100.0})


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


def test_costs_of_less_than_a_hundredth_can_be_compared() -> None:
    there = [Appraisal("small", cost=0.0009, currency="USD"), Appraisal("large", cost=0.0011, currency="USD")]
    said = sentence_of("cost", there[0], there)
    assert said == "runs in small: it costs least there, about 0.000900 USD (large: about 0.001100 USD)"


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
