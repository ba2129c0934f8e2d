"""Metrics: what is counted when, and what the gauges read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nightcrawler_crds.allocation import rank, subjects_of
from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.election.leadership import SoleLeader
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_operator.claims import Claim, Place
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.keys import ExecutionKey
from nightcrawler_operator.lanes import Lane, Lanes
from nightcrawler_operator.telemetry import Telemetry
from tests.support.snapshots import EXECUTION, SnapshotMaker, a_spec, job_name
from tests.support.views import execution

COMPLETED = [{"type": "Finished", "status": "True", "reason": "Succeeded"}]


class Observed:
    """Telemetry with real parts behind its gauges; nothing here sends requests to an API server."""

    def __init__(self) -> None:
        self.lanes = Lanes(lambda _: Lane.PEOPLE)
        self.queue = self.lanes[Lane.PEOPLE]
        self.leadership = SoleLeader(on_started=lambda: None, on_stopped=lambda: None)
        self.cluster = ClusterState(
            Store(Connection(Identity("http://localhost"), "test")), "", lambda _: None
        )
        self.telemetry = Telemetry()
        self.telemetry.register_gauges(self.lanes, self.leadership, self.cluster)

    def value(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(f"nightcrawler_{name}", labels) or 0.0

    def recorded(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.telemetry.recorded(execution(**before), execution(**after))


def steps(**phases: str) -> dict[str, Any]:
    return {"steps": {name: {"phase": phase, "attempt": 1} for name, phase in phases.items()}}


async def test_an_execution_that_ends_is_counted_once_by_phase_and_reason() -> None:
    seen = Observed()
    running = {"phase": "Running"}
    ended = {"phase": "Completed", "conditions": COMPLETED}
    seen.recorded({}, running)
    seen.recorded(running, ended)
    seen.recorded(ended, ended)
    assert seen.value("executions_finished_total", phase="Completed", reason="Succeeded") == 1
    assert seen.value("operator_status_writes_total") == 3


async def test_each_step_that_ends_is_counted_by_its_phase() -> None:
    seen = Observed()
    seen.recorded(steps(a="Running", b="Pending"), steps(a="Failed", b="Skipped", c="Skipped", d="Pending"))
    seen.recorded(steps(a="Failed", b="Skipped"), steps(a="Failed", b="Skipped"))
    assert seen.value("steps_finished_total", phase="Failed") == 1
    assert seen.value("steps_finished_total", phase="Skipped") == 2
    assert seen.value("steps_finished_total", phase="Completed") == 0


async def test_a_step_so_short_that_its_start_was_never_recorded_is_counted() -> None:
    seen = Observed()
    seen.recorded({}, steps(a="Completed"))
    assert seen.value("steps_finished_total", phase="Completed") == 1


@pytest.mark.parametrize(("disruptions", "kind"), [(0, "program"), (1, "infrastructure")])
async def test_a_retry_is_counted_by_what_failed(disruptions: int, kind: str) -> None:
    seen = Observed()
    retrying = {"steps": {"a": {"phase": "Retrying", "attempt": 1, "disruptions": disruptions}}}
    seen.recorded(steps(a="Running"), retrying)
    seen.recorded(retrying, retrying)
    seen.recorded(retrying, steps(a="Pending"))
    counts = {k: seen.value("step_retries_total", kind=k) for k in ("program", "infrastructure")}
    assert counts == {"program": 0, "infrastructure": 0} | {kind: 1}


async def test_a_step_starts_with_its_first_attempt_alone() -> None:
    seen = Observed()
    snapshot = SnapshotMaker(a_spec("a", "b")).build()
    for attempt in (1, 2, 3):
        seen.telemetry.made_job(snapshot, NewJob("a", attempt, job_name("a", attempt)))
    assert seen.value("steps_started_total") == 1


async def test_a_handover_lasts_from_the_observation_until_the_next_job() -> None:
    seen = Observed()
    snapshot = SnapshotMaker(a_spec("a", "b")).build()
    seen.queue.add(ExecutionKey("default", EXECUTION))
    await seen.queue.get()
    seen.telemetry.made_job(snapshot, NewJob("b", 1, job_name("b")))
    assert seen.value("operator_handover_seconds_count") == 1
    assert 0 < seen.value("operator_handover_seconds_sum") < 5


async def test_a_step_without_dependencies_has_no_handover() -> None:
    seen = Observed()
    snapshot = SnapshotMaker(a_spec("a", "b")).build()
    seen.queue.add(ExecutionKey("default", EXECUTION))
    await seen.queue.get()
    seen.telemetry.made_job(snapshot, NewJob("a", 1, job_name("a")))
    assert seen.value("operator_handover_seconds_count") == 0


async def test_reconciles_are_timed_by_kind_and_their_errors_counted_by_name() -> None:
    seen = Observed()
    seen.telemetry.reconciled("Execution", 0.2, None)
    seen.telemetry.reconciled("Execution", 0.3, "Unavailable")
    seen.telemetry.reconciled("Workflow", 0.1, None)
    seen.telemetry.conflicted()
    assert seen.value("operator_reconcile_seconds_count", kind="Execution") == 2
    assert seen.value("operator_reconcile_seconds_sum", kind="Execution") == pytest.approx(0.5)
    assert seen.value("operator_reconcile_errors_total", kind="Execution", error="Unavailable") == 1
    assert seen.value("operator_write_conflicts_total") == 1


async def test_gauges_read_the_queue_as_it_is() -> None:
    seen = Observed()
    for name in "abc":
        seen.queue.add(ExecutionKey("default", name))
    await seen.queue.get()
    seen.queue.add_after(ExecutionKey("default", "later"), 60)
    seen.queue.retry(ExecutionKey("default", "failed"))
    assert seen.value("operator_queue_depth") == 2
    assert seen.value("operator_queue_in_process") == 1
    assert seen.value("operator_queue_delayed") == 2
    assert seen.value("operator_queue_adds_total") == 3
    assert seen.value("operator_queue_retries_total") == 1
    assert seen.value("operator_queue_oldest_seconds") > 0
    seen.queue.clear()
    assert seen.value("operator_queue_depth") == 0


async def test_gauges_count_executions_in_flight_by_phase() -> None:
    seen = Observed()
    live: list[ExecutionView] = [
        execution("new"),
        execution("pending", phase="Pending"),
        execution("running", phase="Running"),
    ]
    for one in live:
        seen.cluster.executions.upsert(one)
    counts = {phase: seen.value("executions", phase=phase) for phase in ("Pending", "Running", "Cancelling")}
    assert counts == {"Pending": 2, "Running": 1, "Cancelling": 0}


async def test_gauges_count_the_runs_that_wait_in_line_and_the_age_of_the_oldest() -> None:
    seen = Observed()
    assert (seen.value("executions_in_line"), seen.value("executions_in_line_oldest_seconds")) == (0, 0)

    place = Place("lab", EnvironmentSpec(), "EnvironmentChosen", "")
    for name, age in (("a", 60), ("b", 3600)):
        created = utcnow() - timedelta(seconds=age)
        position = rank(None, created, "default", name)
        claim = Claim(name, position, subjects_of("default", "wf", "lab"), place, created)
        seen.cluster.places.claim(name, claim)

    assert seen.value("executions_in_line") == 2
    assert 3600 <= seen.value("executions_in_line_oldest_seconds") < 3700


async def test_what_ended_runs_owe_is_counted_by_duty_and_what_is_given_up_by_reason() -> None:
    seen = Observed()
    for name, duties in (("a", ["Logs"]), ("b", ["Logs", "Archive"])):
        ended = execution(name, phase="Failed", settled=False, duties=duties)
        seen.cluster.owing.record_ended(ended)
    assert [seen.value("duties_owed", duty=duty) for duty in ("Logs", "Archive", "Trace")] == [2, 1, 0]
    assert seen.value("operator_informer_objects", kind="WorkflowExecution/owing") == 2

    seen.telemetry.gave_up(("Logs", "Archive"), "DutyOverdue")
    assert seen.value("duties_given_up_total", duty="Logs", reason="DutyOverdue") == 1


async def test_gauges_say_whether_this_process_leads() -> None:
    seen = Observed()
    assert seen.value("operator_leader") == 0
    seen.leadership.is_leader = True
    seen.leadership.leader_changes = 3
    assert seen.value("operator_leader") == 1
    assert seen.value("operator_leader_changes_total") == 3


async def test_gauges_say_how_much_informers_know_and_how_long_they_received_nothing() -> None:
    seen = Observed()
    seen.cluster.pods.last_contact -= 100
    assert seen.value("operator_informer_objects", kind="Pod") == 0
    assert 100 <= seen.value("operator_informer_silence_seconds", kind="Pod") < 110
    assert seen.value("operator_informer_silence_seconds", kind="Job") < 10


async def test_the_status_of_environments_is_shown_by_name() -> None:
    seen = Observed()
    ready = {"type": "Ready", "status": "False", "reason": "Cordoned"}
    status = {
        "capacity": {"cpu": "64", "memory": "2Gi"},
        "free": {"cpu": "1500m"},
        "running": 2,
        "waiting": 0,
    }
    body = {"metadata": {"name": "lab", "uid": "u"}, "status": {**status, "conditions": [ready]}}
    seen.cluster.environments.upsert(msgspec.convert(body, EnvironmentView, strict=False))
    lab = {"environment": "lab"}
    assert seen.value("environment_ready", **lab, status="False", reason="Cordoned") == 1
    assert seen.value("environment_capacity", **lab, resource="memory") == 2**31
    assert seen.value("environment_free", **lab, resource="cpu") == 1.5
    assert seen.value("environment_runs", **lab, state="running") == 2
    assert (
        seen.telemetry.registry.get_sample_value("nightcrawler_environment_runs", {**lab, "state": "waiting"})
        == 0
    )


async def test_what_is_exposed_is_what_prometheus_reads_with_a_help_for_each() -> None:
    seen = Observed()
    seen.recorded({}, {"phase": "Completed", "conditions": COMPLETED, **steps(a="Completed")})
    text = generate_latest(seen.telemetry.registry).decode()
    ours = [f for f in text_string_to_metric_families(text) if f.name.startswith("nightcrawler_")]
    assert len(ours) > 15
    assert [family.name for family in ours if not family.documentation.endswith(".")] == []
    assert "exec-5001" not in text, "names of users' objects would make any number of series"
    assert "process_cpu_seconds_total" in text


async def test_two_operators_in_one_process_count_apart() -> None:
    one, other = Observed(), Observed()
    one.telemetry.conflicted()
    assert other.value("operator_write_conflicts_total") == 0
