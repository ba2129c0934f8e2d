"""Requests of a process that has died, which arrive while the next one works already.

That is what becomes possible when a leader that is known to be dead is followed at once.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.phases import TERMINAL_PHASES
from tests.support.modelserver import Json
from tests.support.replica import Death, the_servers_time
from tests.support.simulation import (
    Act,
    Simulation,
    ended_rightly,
    graphs,
    happenings,
    noted,
    replica,
    simulate,
    thorough,
    which,
)

late_deaths = st.builds(Death, st.integers(0, 8), st.just(False), st.just(True))
late_requests = st.one_of(
    st.builds(Act, st.sampled_from(["work", "catch up"]), replica=replica, death=late_deaths),
    st.builds(Act, st.just("arrive"), which=which),
)


@thorough
@given(
    graphs(),
    st.lists(happenings | late_requests, min_size=20, max_size=80),
    st.integers(1, 2),
    st.booleans(),
)
def test_a_run_survives_late_requests_of_a_dead_operator(
    steps: list[Json], acts: list[Act], replicas: int, old_server: bool
) -> None:
    made = noted(simulate(steps, acts, replicas, old_server=old_server, late=True))

    ended_rightly(made, steps)


@thorough
@given(
    graphs(),
    st.lists(happenings | late_requests, min_size=10, max_size=40),
    st.lists(happenings | late_requests, max_size=30),
    st.booleans(),
)
def test_late_requests_of_a_dead_operator_leave_nothing_of_a_cancelled_run(
    steps: list[Json], before: list[Act], after: list[Act], old_server: bool
) -> None:
    acts = [*before, Act("cancel"), *after]
    made = noted(simulate(steps, acts, 1, old_server=old_server, late=True))

    assert made.status["phase"] in TERMINAL_PHASES
    assert not made.server.of(names.PODS)


def test_the_simulation_can_deliver_late_requests_of_a_dead_operator() -> None:
    """A first Job, of which the next life knows nothing: it makes it itself, and the late one is refused."""
    made = Simulation([{"name": "a", "image": "b:1", "retries": 0}], 1, late=True)

    async def story() -> None:
        made.replicas[0].store.live_until(Death(2, answered=False, late=True))
        while not made.replicas[0].deaths:
            assert await made.replicas[0].work()
        assert (made.server.of(names.JOBS), len(made.server.on_their_way)) == ({}, 1)
        await made.happens(Act("catch up"))
        [job] = made.server.of(names.JOBS).values()
        await made.happens(Act("arrive"))
        assert list(made.server.of(names.JOBS).values()) == [job]
        assert made.server.on_their_way == []

    with the_servers_time(made.server) as runner:
        runner.run(story())
