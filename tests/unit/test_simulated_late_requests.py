"""Requests of a process that has died, which arrive while the next one works already.

That is what becomes possible when a leader that is known to be dead is followed at once.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.phases import TERMINAL_PHASES
from tests.support.modelserver import Json
from tests.support.modelstore import Death
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    Action,
    Simulation,
    any_action,
    assert_right_end,
    graphs,
    many_examples,
    replica,
    simulate,
    which,
    with_statistics,
)

late_deaths = st.builds(Death, st.integers(0, 8), st.just(False), st.just(True))
late_requests = st.one_of(
    st.builds(Action, st.sampled_from(["work", "catch up"]), replica=replica, death=late_deaths),
    st.builds(Action, st.just("arrive"), which=which),
)


@many_examples
@given(
    graphs(),
    st.lists(any_action | late_requests, min_size=20, max_size=80),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_run_survives_late_requests_of_a_dead_operator(
    steps: list[Json], actions: list[Action], replicas: int, old_server: bool
) -> None:
    made = with_statistics(simulate(steps, actions, replicas, old_server=old_server, late=True))

    assert_right_end(made, steps)


@many_examples
@given(
    graphs(),
    st.lists(any_action | late_requests, min_size=10, max_size=40),
    st.lists(any_action | late_requests, max_size=30),
    st.booleans(),
)
def test_late_requests_of_a_dead_operator_leave_nothing_of_a_cancelled_run(
    steps: list[Json], before: list[Action], after: list[Action], old_server: bool
) -> None:
    actions = [*before, Action("cancel"), *after]
    made = with_statistics(simulate(steps, actions, 1, old_server=old_server, late=True))

    assert made.status["phase"] in TERMINAL_PHASES
    assert not made.server.of(names.PODS)


def test_the_simulation_can_deliver_late_requests_of_a_dead_operator() -> None:
    """The restarted operator creates the Job itself, and the late request is refused."""
    made = Simulation([{"name": "a", "image": "b:1", "retries": 0}], 1, late=True)

    async def story() -> None:
        made.replicas[0].store.live_until(Death(2, answered=False, late=True))
        while not made.replicas[0].deaths:
            assert await made.replicas[0].work()
        assert (made.server.of(names.JOBS), len(made.server.in_flight)) == ({}, 1)
        await made.apply(Action("catch up"))
        [job] = made.server.of(names.JOBS).values()
        await made.apply(Action("arrive"))
        assert list(made.server.of(names.JOBS).values()) == [job]
        assert made.server.in_flight == []

    with the_servers_time(made.server) as runner:
        runner.run(story())
