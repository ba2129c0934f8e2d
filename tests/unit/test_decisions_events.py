"""Which Events an execution deserves, by what has changed in its status."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nightcrawler_crds.kube.views import ExecutionStatusView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.builders.event import event
from nightcrawler_operator.decisions.events import events_between, recent
from nightcrawler_operator.keys import EventsKey
from nightcrawler_operator.plan import RunEvent
from tests.support.snapshots import at, wire

Json = dict[str, Any]


def status(phase: str = "Running", **fields: Any) -> ExecutionStatusView:
    return msgspec.convert({"phase": phase, **fields}, ExecutionStatusView, strict=False)


def a_step(phase: str, **fields: Any) -> Json:
    return {"train": {"phase": phase, "attempt": 1, **fields}}


def reasons(before: ExecutionStatusView | None, after: ExecutionStatusView) -> list[str]:
    return [event.reason for event in events_between(before, after)]


FAILED = {"reason": "Error", "message": "step 'train' failed", "completionTime": wire(9)}
EVICTED = {"reason": "Disrupted", "message": "step 'train' was evicted", "completionTime": wire(9)}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (status("Pending"), status("Running", startTime=wire(1)), ["Started"]),
        (status("Running", startTime=wire(1)), status("Running", startTime=wire(1), progress="1/2"), []),
        (status(steps=a_step("Pending")), status(steps=a_step("Running")), []),
        (status(steps=a_step("Running")), status(steps=a_step("Completed")), []),
        (status(), status(steps=a_step("Skipped")), []),
        (status(), status(steps=a_step("Cancelled")), []),
        (status(), status(steps=a_step("Pending", reason="Unschedulable", message="m")), ["Waiting"]),
        (status(), status(steps=a_step("Pending", reason="Starting", message="m")), []),
        (status(), status(steps=a_step("Pending", reason="WaitingForPod", message="m")), []),
        (
            status(steps=a_step("Pending", reason="Unschedulable", message="3 nodes")),
            status(steps=a_step("Pending", reason="Unschedulable", message="4 nodes")),
            [],
        ),
        (status(steps=a_step("Running")), status(steps=a_step("Retrying", **FAILED)), ["StepRetried"]),
        (status(steps=a_step("Running")), status(steps=a_step("Retrying", **EVICTED)), ["StepDisrupted"]),
        (status(steps=a_step("Running")), status(steps=a_step("Failed", **FAILED)), ["StepFailed"]),
        (status(steps=a_step("Running")), status(steps=a_step("Failed", **EVICTED)), ["StepFailed"]),
        (
            status(steps=a_step("Running")),
            status("Failed", message="m", steps=a_step("Failed", **FAILED)),
            ["StepFailed", "Failed"],
        ),
        (status(), status("Completed", message="2 steps"), ["Completed"]),
        (status("Cancelling"), status("Cancelled", message="m"), ["Cancelled"]),
        (status("Failed"), status("Failed", settled=True), []),
    ],
)
def test_what_people_look_for_has_an_event_and_what_goes_well_has_none(
    before: ExecutionStatusView, after: ExecutionStatusView, expected: list[str]
) -> None:
    assert reasons(before, after) == expected


def test_what_keeps_a_run_from_being_accepted_is_waited_for() -> None:
    waits = {"type": "Accepted", "status": "Unknown", "reason": "WaitingForWorkflow", "message": "no wf"}
    (one,) = events_between(status(""), status("Pending", conditions=[waits]))
    assert (one.reason, one.message) == (conditions.EVENT_WAITING, "no wf (WaitingForWorkflow)")
    assert reasons(status("Pending", conditions=[waits]), status("Pending", conditions=[waits])) == []
    assert reasons(None, status("Failed", conditions=[waits])) == ["Failed"]


def test_steps_that_wait_for_the_same_reason_share_one_event() -> None:
    waiting = {name: {"phase": "Pending", "reason": "Unschedulable", "message": name} for name in "ab"}
    assert {event.key for event in events_between(status(), status(steps=waiting))} == {
        ("waiting", "Unschedulable")
    }


def test_each_attempt_has_an_event_of_its_own() -> None:
    first, second = (
        events_between(status(), status(steps={"train": {"phase": "Retrying", "attempt": attempt, **FAILED}}))
        for attempt in (1, 2)
    )
    assert first[0].key != second[0].key
    assert first[0].message == "step 'train' failed; attempt 2 follows"


def test_a_new_leader_repeats_what_happened_lately_and_what_waits() -> None:
    steps = {
        "old": {"phase": "Failed", **FAILED},
        "new": {"phase": "Failed", **FAILED, "completionTime": wire(100)},
        "waits": {"phase": "Pending", "reason": "Unschedulable", "message": "m"},
    }
    shown = recent(status(startTime=wire(0), steps=steps), at(50))
    assert [event.key[:2] for event in shown] == [("failed", "new"), ("waiting", "Unschedulable")]


def test_an_event_has_the_same_name_whenever_it_is_made_and_another_one_for_anything_else() -> None:
    key = EventsKey("default", "run", "uid")

    def made(of: RunEvent, now: float = 20, run: EventsKey = key) -> Json:
        return event(run, of, now=at(now), version="7", instance="me")

    retried = RunEvent("StepRetried", "m" * 5_000, ("retried", "train", "1"), at(10), warning=True)
    names = [
        made(one, run=run)["metadata"]["name"]
        for one in (retried, RunEvent("StepRetried", "", ("retried", "train", "2")))
        for run in (key, EventsKey("default", "run", "another uid"))
    ]
    assert len({*names}) == 4
    assert made(retried)["metadata"]["name"] == made(retried, now=500)["metadata"]["name"] == names[0]
    body = made(retried)
    assert (body["type"], body["lastTimestamp"], len(body["message"])) == ("Warning", wire(10), 1024)
    assert body["involvedObject"]["uid"] == "uid"
    assert made(RunEvent("Started", "m", ("started",), at(30)))["firstTimestamp"] == wire(20)
