"""More than one operator: with dead, suspended and stale ones, no step runs twice and every run ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from localcluster import FakeNode
from nightcrawler_crds import names
from tests.support.builders import a_chain, a_workflow
from tests.support.exactlyonce import assert_never_two_at_once, assert_ran_once
from tests.support.history import History
from tests.support.operator import QUICK_LEASE, Operators
from tests.support.polling import always, eventually
from tests.support.proxy import FaultProxy
from tests.support.team import Team

pytestmark = pytest.mark.usefixtures("nodes")

THREE: Final = ("s1/1", "s2/1", "s3/1")


def test_two_operators_without_an_election_run_nothing_twice(operators: Operators, team: Team) -> None:
    history = History(team)
    for _ in range(2):
        operators.start(leader_election=False)
    team.apply(chain := a_chain("c", 3, lasts=0.3))
    team.apply(flaky := a_workflow("f").step("s", exit_code=1, lasts=0.2, retries=2, retry_delay=0.5))
    chains = [team.run(chain) for _ in range(8)]
    failing = [team.run(flaky) for _ in range(4)]

    for run in chains:
        team.until_phase(run, "Completed", within=40)
    for run in failing:
        team.until_phase(run, "Failed", within=40)
    for run in chains:
        assert_ran_once(history, run, *THREE)
    for run in failing:
        assert_ran_once(history, run, "s/1", "s/2", "s/3")
        assert_never_two_at_once(history, run)


def test_a_leader_that_dies_in_the_middle_of_thirty_chains_is_replaced(
    operators: Operators, team: Team
) -> None:
    history = History(team)
    leader = operators.start(**QUICK_LEASE)
    follower = operators.make(**QUICK_LEASE)
    follower.start(leading=False)
    runs = team.runs(a_chain("c", 3, lasts=1).with_spec(history={"completed": 30}), 30)
    eventually(
        lambda: sum(team.step(run, "s2").get("phase") is not None for run in runs[:10]),
        what="some second steps to begin",
        until=lambda begun: begun >= 3,
    )

    leader.kill()

    for run in runs:
        team.until_phase(run, "Completed", within=60)
    for run in runs:
        assert_ran_once(history, run, *THREE)
    assert follower.leader != ""


def test_a_suspended_leader_that_resumes_writes_nothing_wrong(operators: Operators, team: Team) -> None:
    history = History(team)
    frozen = operators.start(**QUICK_LEASE)
    awake = operators.make(**QUICK_LEASE)
    awake.start(leading=False)
    first = frozen.leader
    runs = team.runs(a_chain("c", 3, lasts=1), 6)
    team.until_pod_runs(runs[0])

    frozen.pause()
    eventually(lambda: awake.leader not in ("", first), what="another leader", within=30)
    second = awake.leader
    for run in runs:
        team.until_phase(run, "Completed", within=40)
    frozen.resume()

    # It notices at once, follows, and leaves what has ended alone.
    eventually(lambda: "no longer leads" in frozen.log, what="the frozen one to notice")
    always(lambda: awake.leader == second, during=2, what="the leader")
    for run in runs:
        assert_ran_once(history, run, *THREE)


def test_a_standby_with_a_stale_cache_repeats_nothing_when_it_leads(
    proxy: FaultProxy, operators: Operators, team: Team, add_node: Callable[[FakeNode], None]
) -> None:
    history = History(team)
    settings = QUICK_LEASE | {"job_cleanup_after": 0}
    leader = operators.start(**settings)
    behind = operators.make(kubeconfig=proxy.kubeconfig, **settings)
    behind.start(leading=False)
    # It observes a run that waits for a node, and none of its later changes.
    [run] = team.runs(a_workflow("late").step("s", resources={"gpu": "1x NVIDIA H100"}))
    team.until_step(run, "s", reason="NoSuchGPU")
    always(lambda: team.status(run)["phase"] == "Pending", during=1, what="the wait of the run")
    proxy.hold("/workflowexecutions")
    add_node(FakeNode("late", gpus=1, product="NVIDIA-H100-80GB-HBM3"))
    team.until_phase(run, "Completed")
    eventually(lambda: not team.every(names.JOBS), what="the removal of all Jobs")

    before = leader.leader
    leader.kill()
    eventually(lambda: behind.leader not in ("", before), within=30, what="the follower to lead")
    always(lambda: not team.every(names.JOBS), during=2, what="the absence of Jobs")
    proxy.reset()

    assert_ran_once(history, run, "s/1")
