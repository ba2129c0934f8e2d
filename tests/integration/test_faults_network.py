"""The way to the API server is bad: watches break or fall silent, answers are refused, late or lost."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds import names
from tests.support.builders import a_chain
from tests.support.exactlyonce import assert_never_two_at_once, assert_ran_once
from tests.support.history import History
from tests.support.operator import OperatorProcess, Operators
from tests.support.polling import always, eventually
from tests.support.proxy import FaultProxy
from tests.support.team import Team, is_live

pytestmark = pytest.mark.usefixtures("nodes")

THREE: Final = ("s1/1", "s2/1", "s3/1")


@pytest.fixture
def operator(proxy: FaultProxy, operators: Operators) -> OperatorProcess:
    """An operator behind the proxy."""
    return operators.start(kubeconfig=proxy.kubeconfig, leader_election=False)


@pytest.mark.usefixtures("operator")
def test_runs_end_while_every_watch_breaks_twice_a_second(proxy: FaultProxy, team: Team) -> None:
    history = History(team)
    proxy.cut_watches(every=0.5)

    runs = team.runs(a_chain("c", 3, lasts=0.5), 5)

    for run in runs:
        team.until_phase(run, "Completed", within=60)
    for run in runs:
        assert_ran_once(history, run, *THREE)


BURSTS: Final[dict[str, dict[str, Any]]] = {
    "asked to come back later": {"status": 429, "times": 6},
    "answered with an error": {"status": 500, "times": 8},
    "cut off before the server knows": {"lose": "before", "times": 8},
    "cut off when the server has done it": {"lose": "after", "times": 8},
}


@pytest.mark.parametrize("burst", BURSTS.values(), ids=BURSTS)
@pytest.mark.usefixtures("operator")
def test_runs_end_while_requests_are(burst: dict[str, Any], proxy: FaultProxy, team: Team) -> None:
    history = History(team)
    rule = proxy.on("*", "/namespaces/", **burst)

    runs = team.runs(a_chain("c", 3), 2)

    for run in runs:
        team.until_phase(run, "Completed", within=60)
    for run in runs:
        assert_ran_once(history, run, *THREE)
    assert rule.used == rule.times


@pytest.mark.usefixtures("operator")
def test_a_job_whose_creation_times_out_is_not_created_twice(proxy: FaultProxy, team: Team) -> None:
    history = History(team)
    proxy.on("POST", "/jobs$", lose="after", delay=4)

    [run] = team.runs(a_chain("c", 1))

    team.until_phase(run, "Completed", within=40)
    assert_ran_once(history, run, "s1/1")


HELD: Final = {
    "Pods": "/pods",
    "executions": "/workflowexecutions",
    "everything": "",
}


@pytest.mark.parametrize("kinds", HELD.values(), ids=HELD)
@pytest.mark.usefixtures("operator")
def test_the_next_step_waits_until_an_end_is_observed_in(kinds: str, proxy: FaultProxy, team: Team) -> None:
    history = History(team)
    [run] = team.runs(a_chain("c", 3, lasts=1))
    team.until_pod_runs(run, "s1")

    proxy.hold(kinds)
    eventually(lambda: [p for p in team.pods(run, "s1") if not is_live(p)], what="the end of the first step")
    always(lambda: len(team.pods(run, "s1")) == 1, during=1, what="the one Pod of the first step")
    proxy.reset()

    team.until_phase(run, "Completed")
    assert_ran_once(history, run, *THREE)


@pytest.mark.usefixtures("operator")
def test_a_pod_whose_end_is_unobserved_holds_the_next_attempt_back(proxy: FaultProxy, team: Team) -> None:
    history = History(team)
    [run] = team.runs(a_chain("c", 1, lasts=600))
    team.until_pod_runs(run)
    [job] = team.jobs(run)

    proxy.hold("/pods")
    team.delete(names.JOBS, job["metadata"]["name"])
    eventually(lambda: not team.pods(run), what="the end of the Pod", within=40)
    always(lambda: not team.jobs(run), during=4, what="the absence of a Job")
    proxy.reset()

    team.until_step(run, "s1", attempt=2)
    team.until_pod_runs(run)
    team.cancel(run)
    team.until_phase(run, "Cancelled", within=40)
    assert_ran_once(history, run, "s1/1", "s1/2")
    assert_never_two_at_once(history, run)
