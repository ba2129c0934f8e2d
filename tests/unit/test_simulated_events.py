"""The Events of runs in whole stories, with deaths between any two writes; as `test_simulated_faults`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.invariants import PROGRAMS_FAULT
from tests.support.modelserver import Json
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    Action,
    Simulation,
    any_action,
    graphs,
    many_examples,
    sends,
    with_statistics,
)


def story(steps: list[Json], actions: list[Action], replicas: int) -> Simulation:
    """Carry out actions, run to the end without faults, and send all pending Events."""
    made = Simulation(steps, replicas)

    async def all_of_it() -> None:
        for action in actions:
            await made.apply(action)
        await made.run_without_faults()
        for one in made.replicas:
            one.store.live_until(None)
            await one.send_events()

    with the_servers_time(made.server) as runner:
        runner.run(all_of_it())
    return made


def events_of(made: Simulation) -> list[Json]:
    return list(made.server.of(names.EVENTS).values())


def ends(made: Simulation) -> list[str]:
    every = (conditions.EVENT_COMPLETED, conditions.EVENT_FAILED, conditions.EVENT_CANCELLED)
    return [one["reason"] for one in events_of(made) if one["reason"] in every]


@many_examples
@given(graphs(), st.lists(any_action | sends, min_size=20, max_size=80), st.integers(1, 2))
def test_after_any_crash_no_event_is_repeated_or_false(
    steps: list[Json], actions: list[Action], replicas: int
) -> None:
    made = with_statistics(story(steps, actions, replicas))
    recorded = made.status["steps"]
    posted = Counter(one["reason"] for one in events_of(made))

    assert posted[conditions.EVENT_STARTED] <= 1
    assert ends(made) in ([], [made.status["phase"]])
    assert posted[conditions.EVENT_STEP_FAILED] <= sum(s["phase"] == "Failed" for s in recorded.values())
    assert posted[conditions.EVENT_STEP_DISRUPTED] <= sum(s.get("disruptions", 0) for s in recorded.values())
    event(f"Events: {sum(posted.values()) // 3 * 3} or more")


@many_examples
@given(
    graphs(),
    st.lists((any_action | sends).map(lambda action: replace(action, death=None)), min_size=20, max_size=80),
)
def test_without_a_crash_every_expected_event_is_sent(steps: list[Json], actions: list[Action]) -> None:
    made = with_statistics(story(steps, actions, replicas=1))
    recorded = made.status["steps"]
    posted = Counter(one["reason"] for one in events_of(made))

    assert ends(made) == [made.status["phase"]]
    assert posted[conditions.EVENT_STARTED] == int("startTime" in made.status)
    assert posted[conditions.EVENT_STEP_FAILED] == sum(s["phase"] == "Failed" for s in recorded.values())
    faults = sum(len(attempts) for attempts in made.invariants.faults.values())
    last = sum(s["phase"] == "Failed" and s["reason"] in PROGRAMS_FAULT for s in recorded.values())
    assert posted[conditions.EVENT_STEP_RETRIED] == faults - last


def test_a_run_that_goes_well_has_two_events_however_many_steps_it_has() -> None:
    steps = [{"name": f"s{number}", "image": "b:1", "retries": 0} for number in range(6)]
    posted = [one["reason"] for one in events_of(story(steps, [], replicas=1))]
    assert posted == [conditions.EVENT_STARTED, conditions.EVENT_COMPLETED]
