"""Events on executions, for people who describe them; and that no step waits for one."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from tests.support.audit import Audit
from tests.support.builders import a_chain, a_workflow
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.proxy import FaultProxy
from tests.support.team import Json, Team

pytestmark = pytest.mark.usefixtures("nodes")


def events_of(team: Team, run: str) -> list[Json]:
    selector = f"involvedObject.kind=WorkflowExecution,involvedObject.name={run}"
    found = team.every(names.EVENTS, field_selector=selector)
    return sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))


def until_events(team: Team, run: str, *reasons: str) -> list[Json]:
    return eventually(
        lambda: events_of(team, run),
        until=lambda events: [event["reason"] for event in events] == [*reasons],
        what=f"the Events of {run}",
    )


def test_describe_shows_how_a_run_went_and_a_restart_repeats_nothing(
    operators: Operators, team: Team, cluster: LocalCluster
) -> None:
    operator = operators.start()
    workflow = a_workflow("wf").step("fine").step("flaky", exit_code=3, retries=1, retryDelay=0)
    (run,) = team.runs(workflow)
    team.until_phase(run, "Failed")
    events = until_events(team, run, "Started", "StepRetried", "StepFailed", "Failed")
    assert events[1]["message"].endswith("; attempt 2 follows")
    assert {event["involvedObject"]["uid"] for event in events} == {team.execution(run)["metadata"]["uid"]}
    assert [event["type"] for event in events] == ["Normal", "Warning", "Warning", "Warning"]

    operator.kill()
    operator.start()
    (other,) = team.runs(a_workflow("another").step("one"))
    team.until_phase(other, "Completed")
    until_events(team, other, "Started", "Completed")
    until_events(team, run, "Started", "StepRetried", "StepFailed", "Failed")

    shown = cluster.kubectl("describe", "wfe", run, "--namespace", team.namespace)
    assert "StepRetried" in shown.partition("Events:")[2]
    assert "nightcrawler-operator" in shown.partition("Events:")[2]


def test_each_reason_for_waiting_has_one_event(shared: Team) -> None:
    gpu = {"gpu": "1x NVIDIA H999"}
    workflow = a_workflow("waits", order="Graph").step("a", resources=gpu).step("b", resources=gpu)
    (run,) = shared.runs(workflow)
    (events,) = until_events(shared, run, "Waiting")
    assert events["message"].endswith("(NoSuchGPU)")
    shared.cancel(run)
    shared.until_phase(run, "Cancelled")
    until_events(shared, run, "Waiting", "Cancelled")


@pytest.mark.parametrize("fault", [{"delay": 60}, {"status": 503}, {"status": 403}], ids=str)
def test_no_step_waits_for_an_event(
    operators: Operators, team: Team, proxy: FaultProxy, fault: dict[str, Any]
) -> None:
    """The API server takes a minute for each, cannot take any, or may not."""
    proxy.on("POST", "/events", times=1_000, **fault)
    operators.start(kubeconfig=proxy.kubeconfig)
    runs = team.runs(a_chain("chain", 5, lasts=0.1), 3)
    for run in runs:
        # Six writes of its status deserve an Event or precede one; waiting 5 s for each would take longer.
        team.until_phase(run, "Completed", within=25)
        assert not events_of(team, run)
    asked = eventually(lambda: [one for one in proxy.asked if one.startswith("POST") and "/events" in one])
    assert len(asked) <= 2 * len(runs)
    assert Audit(team).counts()["create jobs"] == 15
