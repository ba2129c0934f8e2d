"""The operator is killed before and after each kind of write, and nothing is lost or run twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from nightcrawler_crds import names
from tests.support.builders import a_chain, a_workflow
from tests.support.exactlyonce import assert_never_two_at_once, assert_ran_once
from tests.support.history import History
from tests.support.operator import QUICK_LEASE, OperatorProcess, Operators
from tests.support.polling import eventually
from tests.support.proxy import FaultProxy
from tests.support.team import Team

pytestmark = pytest.mark.usefixtures("nodes")

STATUS: Final = "/workflowexecutions/[^/]+/status$"


@dataclass(frozen=True)
class Write:
    """A kind of write: the request's method, and patterns of its path and body."""

    method: str
    path: str
    body: str = ""


class Victim:
    """An operator that dies at writes, and is restarted each time."""

    def __init__(self, operator: OperatorProcess, proxy: FaultProxy) -> None:
        self._operator = operator
        self._proxy = proxy
        proxy.victim = lambda: operator.pid

    def start(self) -> None:
        """Start it for the first time."""
        self._operator.start()

    def dies_at(self, write: Write) -> None:
        """Die before the server gets the next such write, then after it has answered one; live on then."""
        for moment in ("before", "after"):
            self.dies(moment, write)

    def dies(self, moment: str, write: Write, because: Callable[[], object] = lambda: None) -> None:
        """Die at the next such write, which follows from what `because` does."""
        rule = self._proxy.on(write.method, write.path, write.body, kill=moment)
        if not self._operator.is_alive:
            self._operator.launch()  # it may be dead before anybody could see that it is ready
        because()
        assert rule.done.wait(60), f"there was no {write}; there were {self._proxy.asked[-20:]}"
        eventually(lambda: not self._operator.is_alive, what="the operator's death")

    def lives(self) -> None:
        """Run on without further deaths."""
        self._proxy.reset()
        self._operator.start()


@pytest.fixture
def victim(proxy: FaultProxy, operators: Operators) -> Victim:
    """An operator that is not started."""
    settings: dict[str, Any] = {"leader_election": False, "job_cleanup_after": 1}
    return Victim(operators.make(kubeconfig=proxy.kubeconfig, **settings), proxy)


CHAIN: Final = {
    "the adoption of the execution": Write("PATCH", r"/workflowexecutions/[^/]+$", "ownerReferences"),
    "the revision": Write("POST", "/controllerrevisions$"),
    "the first Job": Write("POST", "/jobs$", '"nightcrawler.dev/step":"s1"'),
    "the first Pod": Write("POST", "/pods$", '"nightcrawler.dev/step":"s1"'),
    "the first record": Write("PATCH", STATUS, '"Accepted"'),
    "a Job in the middle": Write("POST", "/jobs$", '"nightcrawler.dev/step":"s2"'),
    "the Pod in the middle": Write("POST", "/pods$", '"nightcrawler.dev/step":"s2"'),
    "the end of a Job": Write("PATCH", "/jobs/[^/]+/status$"),
    "a record in the middle": Write("PATCH", STATUS, '"progress":"[12]/3"'),
    "the last record": Write("PATCH", STATUS, '"Finished"'),
    "the removal of its Jobs": Write("DELETE", r"/jobs\?"),
}


@pytest.mark.parametrize("write", CHAIN.values(), ids=CHAIN)
def test_deaths_at_a_write_of_a_chain_run_no_step_twice(write: Write, victim: Victim, team: Team) -> None:
    history = History(team)
    # Steps that go well are recorded once a second; a record between two needs steps that last longer.
    team.apply(workflow := a_chain("c", 3, lasts=1.2 if write is CHAIN["a record in the middle"] else None))
    run = team.run(workflow)

    victim.dies_at(write)
    victim.lives()

    team.until_phase(run, "Completed")
    eventually(lambda: not team.jobs(run), what="the removal of all Jobs")
    assert_ran_once(history, run, "s1/1", "s2/1", "s3/1")


RETRY: Final = {
    "the record of a failure": Write("PATCH", STATUS, '"Retrying"'),
    "the record of a further attempt": Write("PATCH", STATUS, '"attempt":2'),
    "the Job of a further attempt": Write("POST", "/jobs$", '"nightcrawler.dev/attempt":"2"'),
}


@pytest.mark.parametrize("write", RETRY.values(), ids=RETRY)
def test_deaths_at_a_write_of_a_retry_make_every_attempt_once(
    write: Write, victim: Victim, team: Team
) -> None:
    history = History(team)
    team.apply(workflow := a_workflow("r").step("s", exit_code=3, retries=2, retry_delay=0.5))
    run = team.run(workflow)

    victim.dies_at(write)
    victim.lives()

    team.until_phase(run, "Failed")
    assert_ran_once(history, run, "s/1", "s/2", "s/3")
    assert_never_two_at_once(history, run)
    assert team.step(run, "s")["message"].endswith("(in the last of 3 attempts)")


REFUSED: Final = {
    "the Job that is not taken": Write("POST", "/jobs$"),
    "the record of why it waits": Write("PATCH", STATUS, "APIServerUnavailable"),
}


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_deaths_while_a_job_is_refused_lose_neither_the_reason_nor_the_step(
    write: Write, victim: Victim, proxy: FaultProxy, team: Team
) -> None:
    history = History(team)
    proxy.on("POST", "/jobs$", status=503, times=10_000)
    team.apply(workflow := a_chain("c", 2))
    run = team.run(workflow)

    victim.dies_at(write)
    victim.start()
    waits = team.until_step(run, "s1", reason="APIServerUnavailable")
    assert "jobName" not in waits
    proxy.reset()

    status = team.until_phase(run, "Completed")
    assert "reason" not in status["steps"]["s1"]
    assert_ran_once(history, run, "s1/1", "s2/1")


def test_a_death_at_the_removal_of_a_finalizer_loses_neither_the_deletion_nor_the_result(
    victim: Victim, team: Team
) -> None:
    team.apply(workflow := a_workflow("d").step("s1").step("s2", lasts=600))
    run = team.run(workflow)
    victim.start()
    team.until_pod_runs(run, "s2")
    team.until_step(run, "s1", phase="Completed")
    (pod,) = team.pods(run, "s1")

    freeing = Write("PATCH", f"/pods/{pod['metadata']['name']}$", "finalizers")
    victim.dies("before", freeing, because=lambda: team.delete(names.PODS, pod["metadata"]["name"]))
    victim.dies("after", freeing)
    victim.lives()

    eventually(lambda: not team.pods(run, "s1"), what="the Pod to be gone")
    assert team.step(run, "s1")["attempt"] == 1
    team.cancel(run)
    team.until_phase(run, "Cancelled")


CANCEL: Final = {
    "the deletion of a Job": Write("DELETE", "/jobs/[^/]+$"),
    "the record that it is being cancelled": Write("PATCH", STATUS, '"Cancelling"'),
    "the record that it is cancelled": Write("PATCH", STATUS, '"phase":"Cancelled","message":"cancelled"'),
}


@pytest.mark.parametrize("write", CANCEL.values(), ids=CANCEL)
def test_a_death_at_a_write_of_a_cancellation_leaves_nothing_running(
    write: Write, victim: Victim, team: Team
) -> None:
    history = History(team)
    team.apply(workflow := a_chain("c", 2, lasts=600))
    run = team.run(workflow)
    victim.start()
    team.until_pod_runs(run)

    victim.dies("before", write, because=lambda: team.cancel(run))
    victim.lives()

    team.until_phase(run, "Cancelled", within=30)
    team.until_no_live_pods(run)
    assert_ran_once(history, run, "s1/1")
    assert history.phases(run).count("Cancelled") == 1


def test_a_death_before_the_workflows_status_is_written_is_recovered(victim: Victim, team: Team) -> None:
    team.apply(workflow := a_chain("c", 1))
    run = team.run(workflow)

    victim.dies("before", Write("PATCH", "/workflows/[^/]+/status$", '"Completed"'))
    victim.lives()

    team.until_last_run("c", run, "Completed")


def test_a_death_before_an_old_run_is_deleted_is_recovered(victim: Victim, team: Team) -> None:
    team.apply(workflow := a_chain("c", 1, lasts=2).with_spec(history={"completed": 1}))
    victim.start()
    first = team.run(workflow)
    team.until_phase(first, "Completed")
    second = team.run(workflow)

    victim.dies("before", Write("DELETE", "/workflowexecutions/[^/]+$"))
    victim.lives()

    eventually(lambda: team.executions_of("c") == [second], what="the removal of the old run")


def test_a_leader_that_dies_at_a_renewal_leads_again_after_its_restart(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    victim = Victim(operators.make(kubeconfig=proxy.kubeconfig, **QUICK_LEASE), proxy)
    history = History(team)
    team.apply(workflow := a_chain("c", 3, lasts=1))
    victim.start()
    run = team.run(workflow)
    team.until_pod_runs(run)

    victim.dies("after", Write("PATCH", "/leases/", "renewTime"))
    victim.lives()

    team.until_phase(run, "Completed")
    assert_ran_once(history, run, "s1/1", "s2/1", "s3/1")
