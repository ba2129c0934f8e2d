"""Runs that owe something after their end, with deaths between any two writes; as `test_simulated_faults`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from unittest import mock

from hypothesis import event, given
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import DutyName, conditions
from nightcrawler_operator.decisions import duties
from nightcrawler_operator.decisions.duties import Duty
from tests.support.modelserver import Json
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    BY_THE_FACADE,
    LIMITS,
    RUN,
    Action,
    Simulation,
    any_action,
    assert_right_end,
    done_duties,
    graphs,
    many_examples,
    simulate,
    with_statistics,
)

ONE_STEP: Final[list[Json]] = [{"name": "a", "image": "b:1", "retries": 0}]


@contextmanager
def owed(*which: DutyName) -> Iterator[None]:
    """Every run owes these."""
    always = tuple(Duty(name, is_owed=lambda *_: True) for name in which)
    with mock.patch.object(duties, "DUTIES", always):
        yield


def condition(made: Simulation) -> Json:
    """The message on duties that were not done."""
    said: Sequence[Json] = made.status["conditions"]
    return next((one for one in said if one["type"] == conditions.DUTIES_DONE), {})


@many_examples
@given(
    graphs(),
    st.lists(any_action | done_duties, min_size=20, max_size=80),
    st.lists(any_action | done_duties, max_size=20),
    st.integers(1, 2),
    st.sets(st.sampled_from(BY_THE_FACADE), min_size=1),
)
def test_a_run_that_owes_something_settles_after_any_crash_and_keeps_its_jobs_until_then(
    steps: list[Json], actions: list[Action], after: list[Action], replicas: int, which: set[DutyName]
) -> None:
    """`Invariants` see to it that nothing is given up before its time, nor Jobs deleted that are needed."""
    with owed(*sorted(which)):
        made = with_statistics(
            simulate(steps, [*actions, *[Action("life"), Action("catch up")] * 8, *after], replicas)
        )

    assert_right_end(made, steps)
    assert made.status["settled"] is True
    assert "duties" not in made.status
    event(f"given up: {bool(condition(made))}")


def test_a_run_that_owes_nothing_has_no_settled_field() -> None:
    with owed():
        made = simulate(ONE_STEP, [], replicas=1)

    assert {"settled", "duties"}.isdisjoint(made.status)


def test_a_run_whose_facade_never_answers_settles_after_the_limit_and_says_what_was_not_done() -> None:
    with owed("Logs", "Archive"):
        made = simulate(ONE_STEP, [], replicas=1)

    assert made.status["settled"] is True
    assert condition(made)["reason"] == conditions.DUTY_OVERDUE
    minutes = f"{LIMITS.duty_timeout / 60:g} minutes"
    assert condition(made)["message"] == "; ".join(
        f"not done within {minutes} of its end: {duty}" for duty in ("Logs", "Archive")
    )


def test_what_the_facade_has_done_settles_the_run_at_once_and_without_a_message() -> None:
    made = Simulation(ONE_STEP, 1)

    async def story() -> None:
        await made.run_without_faults()
        assert (made.status["settled"], made.status["duties"]) == (False, ["Archive", "Logs"])
        ended = made.server.now
        for which in range(2):
            await made.apply(Action("note", which=which))
            await made.apply(Action("catch up"))
            assert made.status.get("duties") == (None if which else ["Logs"])
        assert (made.status["settled"], made.server.now) == (True, ended)
        assert [one.metadata.name for one in made.replicas[0].settled] == [RUN[1]]

    with owed(*BY_THE_FACADE), the_servers_time(made.server) as runner:
        runner.run(story())
    assert not condition(made)


def test_deleting_a_run_ends_its_duties() -> None:
    made = Simulation(ONE_STEP, 1)
    one = made.replicas[0]

    async def story() -> None:
        await made.run_without_faults()
        assert len(one.cluster.owing) == 1
        made.server.delete(names.EXECUTIONS, RUN)
        await made.apply(Action("catch up"))
        assert len(one.cluster.owing) == 0
        made.server.now += 2 * made.invariants.patience
        assert not await one.work() or not one.timers

    with owed("Archive"), the_servers_time(made.server) as runner:
        runner.run(story())


def test_a_duty_done_while_the_operator_was_down_counts_after_its_limit_too() -> None:
    made = Simulation(ONE_STEP, 1)

    async def story() -> None:
        await made.run_without_faults()
        await made.apply(Action("note"))
        made.server.now += 2 * made.invariants.patience
        made.replicas[0].start()
        await made.apply(Action("catch up"))
        assert made.status["settled"] is True

    with owed("Archive"), the_servers_time(made.server) as runner:
        runner.run(story())
    assert not condition(made)
