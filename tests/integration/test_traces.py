"""Traces of runs at a real OTLP receiver: ids, parents and times; and what REST and steps know of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from nightcrawler_crds.tracing import ids
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.collector import Collector, Received, read
from tests.support.facade import serving
from tests.support.operator import QUICK_LEASE, Operators, operators_in
from tests.support.polling import eventually
from tests.support.team import Json, Team

pytestmark = pytest.mark.usefixtures("nodes")

TOKEN: Final = "T0K3N-that-nobody-may-see"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().serving() as serving:
        yield serving


@pytest.fixture(autouse=True)
def fresh(collector: Collector) -> None:
    collector.status = 200


def exporting(collector: Collector, **settings: Any) -> Json:
    return {
        "otlp_endpoint": collector.endpoint,
        "otlp_headers": f"authorization=Bearer%20{TOKEN}",
        "steps_otlp_endpoint": "http://collector.example:4318",
        **settings,
    }


def traced(name: str, level: str = "med") -> WorkflowBuilder:
    return a_workflow(name, trace_level=level)


def until_settled(team: Team, run: str) -> Json:
    return eventually(
        lambda: team.status(run), until=lambda seen: seen.get("settled") is True, what=f"{run} to settle"
    )


def spans_of(team: Team, collector: Collector, run: str) -> dict[str, Received]:
    """The spans of a run's trace, which came once, by their names."""
    uid = team.execution(run)["metadata"]["uid"]
    found = collector.spans(ids.trace_id(uid))
    assert len({span.id for span in found}) == len(found), "the trace came more than once"
    assert found[0].id == ids.span_id(uid, ids.RUN)
    known = {span.id for span in found}
    assert all(span.parent in known for span in found[1:])
    return {span.name: span for span in found}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_trace_has_the_times_and_results_of_the_record(
    operators: Operators, team: Team, collector: Collector
) -> None:
    operator = operators.start(**exporting(collector))
    workflow = traced("tried").step("one").step("two", exit_code=3, retries=1, retryDelay=0)
    (run,) = team.runs(workflow)
    status = until_settled(team, run)
    found = spans_of(team, collector, run)
    root = found["tried"]
    created = team.execution(run)["metadata"]["creationTimestamp"]
    assert (root.start, root.end) == (seconds(created), seconds(status["completionTime"]))
    assert (root.status, root.message) == (2, status["message"])
    assert root.resource["k8s.namespace.name"] == team.namespace
    for name in ("one", "two"):
        step, span = status["steps"][name], found[name]
        assert span.parent == root.id
        assert span.end == seconds(step["completionTime"])
        assert span.start == seconds(step["attempts"][0]["created"])
    assert [one["number"] for one in status["steps"]["two"]["attempts"]] == [1, 2]
    first = found["attempt 1"]
    assert first.attributes["k8s.node.name"] in {node["metadata"]["name"] for node in team.every(names.NODES)}
    assert TOKEN not in operator.log
    assert collector.headers[-1]["authorization"] == f"Bearer {TOKEN}"


def test_steps_find_the_trace_and_debug_has_the_events_of_their_pods(
    operators: Operators, team: Team, collector: Collector
) -> None:
    operators.start(**exporting(collector))
    (run,) = team.runs(traced("debugged", "debug").step("a", lasts=1))
    pod = team.until_pod_runs(run)
    (container,) = pod["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    uid = team.execution(run)["metadata"]["uid"]
    assert variables["TRACEPARENT"] == f"00-{ids.trace_id(uid)}-{ids.attempt_span(uid, 'a', 1)}-01"
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.example:4318"
    assert variables["NIGHTCRAWLER_LOG_LEVEL"] == "debug"
    status = until_settled(team, run)
    (attempt,) = status["steps"]["a"]["attempts"]
    assert "Scheduled" in [event["reason"] for event in attempt["events"]]
    assert "Scheduled" in spans_of(team, collector, run)["attempt 1"].events


def test_without_a_level_nothing_is_recorded_exported_or_told(
    operators: Operators, team: Team, collector: Collector
) -> None:
    operators.start(**exporting(collector))
    (run,) = team.runs(a_workflow("plain").step("a", lasts=1))
    (container,) = team.until_pod_runs(run)["spec"]["containers"]
    assert not [one for one in container["env"] if one["name"].startswith(("OTEL_", "TRACE"))]
    status = team.until_phase(run, "Completed")
    assert {"traceLevel", "duties", "settled"}.isdisjoint(status)
    assert "attempts" not in status["steps"]["a"]


def test_a_collector_that_is_away_gets_the_trace_when_it_is_back_and_no_step_waits(
    operators: Operators, team: Team, collector: Collector
) -> None:
    operators.start(**exporting(collector))
    collector.status = 503
    workflow = traced("away", "min")
    for number in range(5):
        workflow = workflow.step(f"s{number}")
    runs = team.runs(workflow, 3)
    for run in runs:
        team.until_phase(run, "Completed", within=30)
    assert team.status(runs[0])["duties"] == ["Trace"]
    collector.status = 200
    for run in runs:
        until_settled(team, run)
        assert len(spans_of(team, collector, run)) == 6


def test_two_operators_and_a_death_change_no_id(
    operators: Operators, team: Team, collector: Collector
) -> None:
    settings = exporting(collector, **QUICK_LEASE)
    leader = operators.start(**settings)
    standby = operators.make(**settings)
    standby.start(leading=False)
    (run,) = team.runs(traced("handed-over").step("first", lasts=3).step("second"))
    pod = team.until_pod_runs(run, "first")
    parent = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}["TRACEPARENT"]
    leader.kill()
    until_settled(team, run)
    uid = team.execution(run)["metadata"]["uid"]
    found = collector.spans(ids.trace_id(uid))
    attempts = {span.attributes["nightcrawler.step"]: span for span in found if span.name == "attempt 1"}
    assert parent == f"00-{ids.trace_id(uid)}-{attempts['first'].id}-01"
    assert {span.id for span in found if span.name in ("first", "second")} == {
        ids.step_span(uid, "first"),
        ids.step_span(uid, "second"),
    }


def test_over_rest_the_trace_is_that_which_was_exported(
    cluster: LocalCluster, collector: Collector, tmp_path: Path
) -> None:
    with (
        serving(cluster, tmp_path) as served,
        operators_in(cluster, served.namespace, tmp_path) as operators,
    ):
        operators.start(**exporting(collector))
        team = Team(cluster, served.namespace)
        workflow = traced("shown").step("a", exit_code=1, retries=1, retryDelay=0)
        (run,) = team.runs(workflow)
        until_settled(team, run)
        answered = served.ask("GET", f"/shown/executions/{run}/trace")
        assert read(answered) == collector.spans(ids.trace_id(team.execution(run)["metadata"]["uid"]))

        team.apply(a_workflow("untraced").step("a", lasts=60))
        running = team.run("untraced")
        team.until_pod_runs(running)
        shown = read(served.ask("GET", f"/untraced/executions/{running}/trace"))
        assert shown[0].name == "untraced"
        served.refused("GET", "/shown/executions/none/trace", code=404)
