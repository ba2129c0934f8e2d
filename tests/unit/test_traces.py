"""Traces: their ids, spans and form; what is recorded for them, and what steps find in their environment."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.building.pod import environment_variables
from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.kube.views import AttemptView, ExecutionView, PodEventView
from nightcrawler_crds.tracing import ids
from nightcrawler_crds.tracing.otlp import trace_request
from nightcrawler_operator.decisions.attemptrecords import with_attempts, without_events
from nightcrawler_operator.decisions.execution import decide, run_of
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Snapshot
from tests.support.collector import Received, read
from tests.support.snapshots import a_job, a_new_execution, a_pod, a_snapshot, at
from tests.support.views import at as clock
from tests.support.views import execution

UID = "0f1e2d3c-uid"
NOW = clock("14:50:00")


def a_run(level: str | None = "med", **status: Any) -> ExecutionView:
    attempts = [
        {
            "number": 1,
            "created": "2025-07-10T14:45:02Z",
            "scheduled": "2025-07-10T14:45:03Z",
            "startTime": "2025-07-10T14:45:05Z",
            "completionTime": "2025-07-10T14:46:00Z",
            "exitCode": 3,
            "reason": "Error",
            "node": "node-1",
            "events": [{"time": "2025-07-10T14:45:03Z", "reason": "Scheduled", "message": "to node-1"}],
        },
        {
            "number": 2,
            "created": "2025-07-10T14:46:30Z",
            "startTime": "2025-07-10T14:46:30Z",
            "completionTime": "2025-07-10T14:47:00Z",
            "exitCode": 0,
        },
    ]
    given: dict[str, Any] = {
        "phase": "Completed",
        "startTime": "2025-07-10T14:45:05Z",
        "completionTime": "2025-07-10T14:47:10Z",
        "progress": "2/2",
        "environment": "production",
        "conditions": [{"type": "Accepted", "status": "True", "lastTransitionTime": "2025-07-10T14:45:01Z"}],
        "steps": {
            "train": {
                "phase": "Completed",
                "attempt": 2,
                "startTime": "2025-07-10T14:46:30Z",
                "completionTime": "2025-07-10T14:47:00Z",
                "exitCode": 0,
                "attempts": attempts,
            },
            "later": {"phase": "Skipped"},
        },
    }
    return execution("exec-1", uid=UID, created="2025-07-10T14:45:00Z", traceLevel=level, **(given | status))


def spans(run: ExecutionView, now: datetime = NOW) -> dict[str, Received]:
    read_back = read(trace_request(run, now))
    assert {span.trace for span in read_back} == {hashlib.sha256(UID.encode()).hexdigest()[:32]}
    assert len({span.id for span in read_back}) == len(read_back)
    known = {span.id for span in read_back}
    assert all(span.parent in known for span in read_back[1:])
    assert all(span.start <= span.end for span in read_back)
    return {span.name: span for span in read_back}


def seconds(text: str) -> float:
    return clock(text).timestamp()


def test_at_level_med_a_trace_has_run_steps_attempts_and_waits() -> None:
    found = spans(a_run())
    assert list(found) == ["wf-1001", "acceptance", "train", "attempt 1", "wait for its Pod", "attempt 2"]
    root, step, first = found["wf-1001"], found["train"], found["attempt 1"]
    assert (root.parent, step.parent, first.parent) == ("", root.id, step.id)
    assert found["wait for its Pod"].parent == first.id
    assert (root.start, root.end) == (seconds("14:45:00"), seconds("14:47:10"))
    assert (step.start, step.end) == (seconds("14:45:02"), seconds("14:47:00"))
    assert (first.start, first.end) == (seconds("14:45:02"), seconds("14:46:00"))
    wait = found["wait for its Pod"]
    assert (wait.start, wait.end) == (seconds("14:45:02"), seconds("14:45:05"))
    assert (root.status, step.status, first.status, found["attempt 2"].status) == (1, 1, 2, 1)
    assert first.events == ("Scheduled",)
    assert first.attributes["process.exit.code"] == 3
    assert root.attributes["nightcrawler.environment"] == "production"
    assert root.resource == {"service.name": "nightcrawler", "k8s.namespace.name": "default"}


@pytest.mark.parametrize("level", ["min", None])
def test_at_level_min_it_has_run_and_steps(level: str | None) -> None:
    found = spans(a_run(level))
    assert list(found) == ["wf-1001", "train"]
    assert found["train"].start == seconds("14:45:02"), "a step begins with its first attempt"


@pytest.mark.parametrize(("level", "shown"), [("med", True), ("debug", True), ("min", False), (None, False)])
def test_from_level_med_on_it_has_what_was_used(level: str | None, *, shown: bool) -> None:
    used = {"cpu": {"average": 48, "peak": 120}, "gpu": {"average": 0, "peak": 7}}
    steps = {"train": {"phase": "Completed", "completionTime": "2025-07-10T14:47:00Z", "usage": used}}
    found = spans(a_run(level, steps=steps, resourceUsage={"cpu": 48, "gpu": 0}))
    run, step = (
        {
            name.removeprefix("nightcrawler.usage."): value
            for name, value in found[span].attributes.items()
            if name.startswith("nightcrawler.usage.")
        }
        for span in ("wf-1001", "train")
    )
    assert run == ({"cpu": 48, "gpu": 0} if shown else {})
    expected = {"cpu.average": 48, "cpu.peak": 120, "gpu.average": 0, "gpu.peak": 7}
    assert step == (expected if shown else {})


def test_a_failed_run_has_its_message_and_a_cancelled_one_no_status() -> None:
    failed = spans(a_run(phase="Failed", message="step 'train' failed: exit code 3"))["wf-1001"]
    assert (failed.status, failed.message) == (2, "step 'train' failed: exit code 3")
    assert spans(a_run(phase="Cancelled"))["wf-1001"].status == 0


def test_what_is_under_way_ends_now() -> None:
    steps = {"train": {"phase": "Running", "attempt": 1, "startTime": "2025-07-10T14:45:05Z"}}
    found = spans(a_run(phase="Running", completionTime=None, steps=steps))
    assert found["wf-1001"].end == found["train"].end == seconds("14:50:00")
    assert spans(execution("exec-1", uid=UID))["wf-1001"].attributes["nightcrawler.phase"] == "Pending"


@given(st.text(min_size=1), st.text(), st.integers(1, 99))
def test_ids_are_hashes_of_the_uid_and_tell_everything_apart(uid: str, step: str, attempt: int) -> None:
    assert ids.trace_id(uid) == hashlib.sha256(uid.encode()).digest()[:16].hex()
    made = [
        ids.span_id(uid, ids.RUN),
        ids.step_span(uid, step),
        ids.attempt_span(uid, step, attempt),
        ids.attempt_span(uid, step, attempt + 1),
        ids.step_span(uid + "x", step),
    ]
    assert len(set(made)) == len(made)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", ids.traceparent(uid, made[0]))


# --- what is recorded --------------------------------------------------------------------------------


def a_traced_step(level: str | None, phase: str = "Completed", **fields: Any) -> Snapshot:
    ended = {"startTime": "2025-07-10T14:00:05Z", "completionTime": "2025-07-10T14:00:09Z", **fields}
    return (
        a_snapshot("a", traceLevel=level)
        .with_status(traceLevel=level)
        .recorded("a", phase, job=False, **ended)
        .with_pod(a_pod("a", created=2).exited(0).on_node("node-1", since=3), job=a_job("a", created=1))
        .at(20)
        .build()
    )


def recorded(snapshot: Snapshot) -> tuple[AttemptView, ...]:
    return with_attempts(snapshot, snapshot.execution.status).steps["a"].attempts or ()


@pytest.mark.parametrize(
    ("level", "phase", "kept"),
    [
        (None, "Completed", False),
        (None, "Retrying", False),
        ("min", "Completed", False),
        ("min", "Retrying", True),
        ("med", "Completed", True),
        ("med", "Failed", True),
        ("med", "Cancelled", True),
        ("med", "Running", False),
        ("debug", "Retrying", True),
    ],
)
def test_an_attempt_is_kept_when_it_has_ended_as_the_level_says(
    level: str | None, phase: str, kept: bool
) -> None:
    assert bool(recorded(a_traced_step(level, phase))) == kept


def test_an_attempt_is_kept_with_its_job_pod_and_node() -> None:
    (one,) = recorded(a_traced_step("med"))
    assert one == AttemptView(
        number=1,
        created=at(1),
        scheduled=at(3),
        start_time=at(5),
        completion_time=at(9),
        node="node-1",
    )
    (slim,) = recorded(a_traced_step("min", "Retrying", exitCode=3, reason="Error"))
    assert slim == AttemptView(1, start_time=at(5), completion_time=at(9), exit_code=3, reason="Error")


def test_an_attempt_is_kept_once_and_of_many_the_last_ones() -> None:
    kept = [{"number": number} for number in range(1, 17)]
    again = a_traced_step("med", attempts=kept)
    assert [one.number for one in recorded(again)] == list(range(1, 17))
    more = a_traced_step("med", attempt=17, attempts=kept)
    assert [one.number for one in recorded(more)] == list(range(2, 18))


def test_events_that_were_collected_are_kept_with_their_attempt() -> None:
    events = (PodEventView(at(3), "Scheduled", "to node-1"),)
    snapshot = a_traced_step("debug", attempts=[{"number": 1}])
    assert without_events(snapshot.execution.status.steps) == [("a", 1)]
    (kept,) = snapshot.execution.status.steps["a"].attempts or ()
    known = replace(snapshot, pod_events={("a", 1): events})
    assert recorded(known) == (msgspec.structs.replace(kept, events=events),)


def test_the_level_is_in_the_first_status_and_in_the_revision() -> None:
    plan = decide(a_new_execution("a", traceLevel="debug").build())
    assert plan.status is not None
    assert plan.status["traceLevel"] == "debug"
    other = decide(a_new_execution("a").build())
    assert other.status is not None
    assert "traceLevel" not in other.status
    assert plan.status["revision"] != other.status["revision"]


# --- what steps find --------------------------------------------------------------------------------


def variables_of(level: str | None, attempt: int = 2, **limits: Any) -> dict[str, str]:
    snapshot = a_snapshot("a", traceLevel=level).build()
    assert snapshot.revision is not None
    run = run_of(snapshot, snapshot.revision)
    made = environment_variables(run, (), NewJob("a", attempt, "job"), Limits(**limits))
    return {one["name"]: one["value"] for one in made}


def test_steps_are_told_of_the_trace_only_if_the_workflow_has_a_level() -> None:
    assert not {name for name in variables_of(None) if name.startswith(("OTEL", "TRACE"))}
    uid = a_snapshot("a").build().execution.metadata.uid
    of_attempt, of_step = ids.attempt_span(uid, "a", 2), ids.step_span(uid, "a")
    assert variables_of("med")["TRACEPARENT"] == f"00-{ids.trace_id(uid)}-{of_attempt}-01"
    assert variables_of("min")["TRACEPARENT"] == f"00-{ids.trace_id(uid)}-{of_step}-01"
    assert "NIGHTCRAWLER_LOG_LEVEL" not in variables_of("med")
    assert variables_of("debug")["NIGHTCRAWLER_LOG_LEVEL"] == "debug"


def test_steps_are_told_of_a_collector_if_there_is_one_for_them() -> None:
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in variables_of("med", exports_traces=True)
    variables = variables_of("med", steps_otlp_endpoint="http://collector:4318")
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert variables["OTEL_RESOURCE_ATTRIBUTES"].endswith("nightcrawler.step=a,nightcrawler.attempt=2")
    assert timedelta(0) == at(0) - at(0)
