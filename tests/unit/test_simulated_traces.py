"""Traces of runs, with deaths between any two writes and exports; as `test_simulated_faults`."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.tracing import ids
from nightcrawler_operator.effects.traces.exporter import ExportError
from tests.support import simulation
from tests.support.modelserver import Json
from tests.support.modelstore import Death
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    LIMITS,
    Action,
    Simulation,
    any_action,
    assert_right_end,
    effects,
    graphs,
    many_examples,
    simulate,
    with_statistics,
)

ONE_STEP: list[Json] = [{"name": "a", "image": "b:1", "retries": 0}]
EXPORTING = replace(LIMITS, exports_traces=True)
FORKED: list[Json] = [
    {"name": "s0", "image": "b:1", "retries": 0},
    {"name": "s1", "image": "b:1", "retries": 0, "dependsOn": ["s0"]},
    {"name": "s2", "image": "b:1", "retries": 2},
]
CANCELLED_BETWEEN_ATTEMPTS = [
    Action("catch up"),
    Action("life", which=5),
    Action("fail", which=1),
    Action("catch up"),
    Action("fail", which=0),
]
"""s2 fails, and s0 after it, before s2 is tried again."""
LOST = Death(0, answered=False)
MADE_AGAIN_BY_A_STALE_REPLICA = [
    *[Action("work")] * 5,
    *[Action("work", replica=1)] * 2,
    Action("catch up"),
    Action("kubelet", which=1),
    *[Action("work")] * 3,
    Action("life", which=1),
    Action("work", replica=1, death=LOST),
    Action("time", many=9),
    Action("catch up"),
    Action("life", which=0),
    Action("work", replica=1, death=Death(8, answered=False)),
    Action("catch up", death=LOST),
    Action("work", replica=1, death=Death(0, answered=True)),
]
"""The Job of s2's second attempt, which was deleted when s0 had failed."""


@many_examples
@example(FORKED, CANCELLED_BETWEEN_ATTEMPTS, 1, "min")
@example(FORKED, MADE_AGAIN_BY_A_STALE_REPLICA, 2, "min")
@given(
    graphs(),
    st.lists(any_action | effects, min_size=20, max_size=80),
    st.integers(1, 2),
    st.sampled_from(["min", "med", "debug"]),
)
def test_whoever_dies_the_trace_is_exported_with_the_same_ids(
    steps: list[Json], actions: list[Action], replicas: int, level: str
) -> None:
    with mock.patch.object(simulation, "LIMITS", EXPORTING):
        made = with_statistics(simulate(steps, actions, replicas, spec={"traceLevel": level}))
    assert_right_end(made, steps)
    assert (made.status["settled"], made.status["traceLevel"]) == (True, level)
    recorded = made.status["steps"]
    for name, step in recorded.items():
        numbers = [attempt["number"] for attempt in step.get("attempts", ())]
        last = step.get("attempt", 0) if "completionTime" in step else 0
        earlier = list(range(1, last + (level != "min")))
        if level == "min" and step["phase"] == "Cancelled" and numbers == [*earlier, last]:
            # It was cancelled between two attempts: the last one had failed before.
            assert step["attempts"][-1]["reason"] != step["reason"], name
        else:
            assert numbers == earlier, name

    lives = replicas + sum(one.deaths for one in made.replicas)
    assert 1 <= len(made.receiver.traces) <= lives
    first = made.receiver.traces[0]
    assert all([span.id for span in trace] == [span.id for span in first] for trace in made.receiver.traces)
    uid = next(iter(made.server.of(names.EXECUTIONS).values()))["metadata"]["uid"]
    assert {span.trace for span in first} == {ids.trace_id(uid)}
    known = {span.id for span in first}
    assert [span.parent in known for span in first] == [False] + [True] * (len(first) - 1)
    began = [name for name, step in recorded.items() if "completionTime" in step]
    assert {span.name for span in first if span.parent == first[0].id} - {"acceptance"} == set(began)


def test_a_run_without_a_level_records_exports_and_owes_nothing() -> None:
    with mock.patch.object(simulation, "LIMITS", EXPORTING):
        made = simulate(ONE_STEP, [], replicas=1)
    assert not made.receiver.traces
    assert {"settled", "duties", "traceLevel"}.isdisjoint(made.status)
    assert "attempts" not in made.status["steps"]["a"]


@pytest.mark.parametrize("level", ["min", "med"])
def test_where_nothing_is_exported_nothing_is_owed_and_no_write_is_added(level: str) -> None:
    plain = simulate(ONE_STEP, [], replicas=1)
    made = simulate(ONE_STEP, [], replicas=1, spec={"traceLevel": level})
    assert "duties" not in made.status
    assert made.server.version == plain.server.version


def test_a_collector_that_is_away_gets_the_trace_when_it_is_back() -> None:
    made = Simulation(ONE_STEP, 1, spec={"traceLevel": "min"})
    with mock.patch.object(simulation, "LIMITS", EXPORTING):
        made = Simulation(ONE_STEP, 1, spec={"traceLevel": "min"})
    made.receiver.refuses_traces = ExportError("the collector answered 503")

    async def story() -> None:
        await made.run_without_faults()
        for _ in range(20):
            await made.apply(Action("effects"))
            made._pass_time()
        assert made.status["duties"] == ["Trace"]
        made.receiver.refuses_traces = None
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert (len(made.receiver.traces), made.status["settled"]) == (1, True)


def test_what_a_collector_refuses_for_good_is_not_sent_again() -> None:
    with mock.patch.object(simulation, "LIMITS", EXPORTING):
        made = Simulation(ONE_STEP, 1, spec={"traceLevel": "min"})
    made.receiver.refuses_traces = ExportError("the collector answered 400", final=True)

    async def story() -> None:
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert made.status["settled"] is True
