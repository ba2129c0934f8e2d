"""Limits on running runs against a model of the API server, with leaders that change and die at any write."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.support.limitsimulation import Limited, carry_out_under_limits, limit_actions, limits
from tests.support.modelstore import Death
from tests.support.replica import Replica, the_servers_time
from tests.support.simulation import Action, many_examples


@many_examples
@given(
    limits,
    st.lists(st.integers(0, 7), min_size=2, max_size=8),
    st.lists(limit_actions, min_size=20, max_size=80),
)
def test_no_limit_is_exceeded_whoever_leads_and_dies_and_all_runs_end(
    most: dict[str, int], runs: list[int], actions: list[Action]
) -> None:
    made = carry_out_under_limits(most, runs, actions)

    event(f"limits: {len(most)}")
    event(f"deaths: {min(3, sum(one.deaths for one in made.replicas))}")
    for kind, count in most.items():
        event(f"{kind} was full: {made.most_begun[kind] == count}")


PLAIN, URGENT = 0, 2
ONE: dict[str, int] = {"Installation": 1}


@pytest.mark.parametrize("write", range(5))
def test_a_place_that_a_dead_leader_gives_too_late_is_not_used(write: int) -> None:
    """Its request arrives when the next leader works already, under a limit that was lowered meanwhile."""
    made = Limited({"Workflow": 2})

    async def story() -> None:
        made.elect(0)
        for _ in range(3):
            made.create(PLAIN)
        await made.apply(Action("catch up"))
        for _ in range(2):
            made.advance_cluster(only="run-1")
        await made.apply(Action("catch up"))
        for _ in range(2):
            made.advance_cluster(only="run-1")
        # Both steps of the first run have ended, and with it the run: the third one gets its place.
        await _die_at(made.replicas[0], Death(write, answered=False, late=True))
        made.set_limit("Workflow", 1)
        made.elect(1)
        await made.apply(Action("catch up"))
        made.server.arrive(0)
        await made.apply(Action("catch up"))
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())


async def _die_at(replica: Replica, death: Death) -> None:
    replica.store.live_until(death)
    replica.deliver_all()
    while not replica.deaths:
        assert await replica.work()


def test_a_new_leader_with_a_stale_cache_counts_what_the_former_one_gave() -> None:
    made = Limited(ONE)

    async def story() -> None:
        former, new = made.replicas
        made.elect(0)
        made.create(PLAIN)
        former.deliver_all()
        made.create(URGENT)
        new.deliver_all()
        # The former leader has not observed the urgent run, and the new one nothing of what it does.
        while await former.work():
            pass
        assert len(made.begun) == 1
        made.elect(1)
        while await new.work():
            pass
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())


@pytest.mark.parametrize("most", [1, 2, None])
def test_a_limit_that_changes_holds_for_what_begins_afterwards(most: int | None) -> None:
    """Two runs are under way under a limit of two, which becomes another one, or is taken away."""
    made = Limited({"Workflow": 2})

    async def story() -> None:
        made.elect(0)
        for _ in range(5):
            made.create(PLAIN)
        await made.apply(Action("catch up"))
        assert len(made.begun) == 2
        made.set_limit("Workflow", most)
        await made.apply(Action("catch up"))
        assert len(made.begun) == (5 if most is None else 2)
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert len(made.begun) == 5
