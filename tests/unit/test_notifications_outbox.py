"""Which messages a run gives occasion for, and what is recorded of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.scheduleviews import OutcomeView
from nightcrawler_crds.kube.views import ExecutionStatusView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.decisions.notifications import facts, outbox, times
from nightcrawler_operator.decisions.notifications.outbox import NoticeName, merged, parse_name, with_notices
from nightcrawler_operator.plan import Waiting
from nightcrawler_operator.snapshot import Snapshot
from tests.support.snapshots import a_pod, a_snapshot, at

ALL = ["start", "complete", "fail", "cancel", "retry", "late", "skip"]


def wanting(*channels: str, events: list[str] | None = None, **config: Any) -> dict[str, Any]:
    notifications = dict.fromkeys(channels, True)
    return {
        "notifications": notifications,
        **({} if events is None else {"notificationEvents": events}),
    } | config


def noted(snapshot: Snapshot, **status: Any) -> dict[str, NoticeView]:
    wanted = msgspec.structs.replace(snapshot.execution.status, **status)
    return dict(with_notices(snapshot, wanted).notifications or {})


def a_run(*steps: str, config: dict[str, Any], **fields: Any) -> Snapshot:
    return a_snapshot(*steps, config=config, **fields).at(100).build()


@pytest.mark.parametrize(
    ("phase", "events", "keys"),
    [
        ("Completed", ["complete"], {"complete/slack"}),
        ("Completed", None, set()),
        ("Failed", None, {"fail/slack"}),
        ("Failed", ["complete", "cancel"], set()),
        ("Cancelled", ["cancel"], {"cancel/slack"}),
        ("Cancelled", None, set()),
        ("Running", ALL, set()),
        ("Pending", ALL, set()),
    ],
)
def test_an_end_is_told_if_that_is_wanted(phase: str, events: list[str] | None, keys: set[str]) -> None:
    snapshot = a_run("a", config=wanting("slack", events=events))
    found = noted(snapshot, phase=phase, completion_time=at(90))
    assert found.keys() == keys
    assert all(one == NoticeView("Pending", time=at(90)) for one in found.values())


def test_each_channel_has_its_own_message() -> None:
    snapshot = a_run("a", config=wanting("slack", "webhook", "email"))
    assert noted(snapshot, phase="Failed").keys() == {"fail/email", "fail/slack", "fail/webhook"}


def test_a_start_is_told_with_its_time_also_if_the_run_has_ended_meanwhile() -> None:
    snapshot = a_run("a", config=wanting("webhook", events=["start", "complete"]))
    assert noted(snapshot, phase="Running", start_time=at(5)) == {
        "start/webhook": NoticeView("Pending", time=at(5))
    }
    found = noted(snapshot, phase="Completed", start_time=at(5), completion_time=at(9))
    assert found.keys() == {"start/webhook", "complete/webhook"}


def test_what_is_noted_already_is_not_noted_again() -> None:
    sent = {"start/webhook": {"state": "Sent", "attempts": 1}}
    snapshot = (
        a_snapshot("a", config=wanting("webhook", events=["start"]))
        .with_status(notifications=sent, startTime=None)
        .at(100)
        .build()
    )
    status = msgspec.structs.replace(snapshot.execution.status, start_time=at(5))
    assert with_notices(snapshot, status) is status


def test_each_failed_attempt_that_is_tried_again_is_told_up_to_a_number() -> None:
    snapshot = a_run("a/b", config=wanting("slack", events=["retry"]))
    step = {"phase": "Retrying", "attempt": 2, "completionTime": "2025-07-10T14:01:00Z"}
    status = msgspec.convert({"steps": {"a/b": step}}, ExecutionStatusView, strict=False)
    found = with_notices(snapshot, status).notifications or {}
    assert found == {"retry/slack/a/b/2": NoticeView("Pending", time=at(60))}

    many = {f"s{n}": {**step, "attempt": 1} for n in range(50)}
    status = msgspec.convert({"steps": many}, ExecutionStatusView, strict=False)
    assert len(with_notices(snapshot, status).notifications or {}) == 20


@pytest.mark.parametrize("now", [79.0, 80.0, 200.0])
def test_a_run_is_late_after_four_fifths_of_its_timeout(now: float) -> None:
    maker = a_snapshot("a", config=wanting("slack", events=["late"], timeout="100 seconds")).at(now)
    found = noted(maker.build(), phase="Running", start_time=at(0))
    assert found == ({"late/slack": NoticeView("Pending", time=at(80))} if now >= 80 else {})


def test_a_run_that_has_ended_is_not_late() -> None:
    snapshot = a_snapshot("a", config=wanting("slack", events=["late"], timeout="100 seconds")).at(90).build()
    assert not noted(snapshot, phase="Completed", start_time=at(0), completion_time=at(90))


def test_the_operator_looks_again_when_a_run_becomes_late() -> None:
    maker = (
        a_snapshot("a", config=wanting("slack", events=["late"], timeout="100 seconds"))
        .recorded("a", "Running", startTime="2025-07-10T14:00:01Z")
        .with_status(phase="Running", startTime="2025-07-10T14:00:01Z", progress="0/1")
        .with_pod(a_pod("a").on_node().running(1))
    )
    plan = decide(maker.at(10).build())
    assert (plan.status, plan.outcome) == (None, Waiting(at(81)))
    plan = decide(maker.at(81).build())
    assert plan.status == {
        "notifications": {"late/slack": {"state": "Pending", "time": "2025-07-10T14:01:21Z"}}
    }
    assert plan.outcome == Waiting(at(101))


# --- results -----------------------------------------------------------------------------------------

PENDING = NoticeView("Pending", time=at(5))
SENT = NoticeView("Sent", time=at(5), attempts=2, sent_at=at(9))


def test_a_result_replaces_what_was_pending_and_nothing_else() -> None:
    recorded = {"start/webhook": PENDING, "fail/webhook": NoticeView("Failed", time=at(5), last_error="410")}
    found = merged(recorded, {"start/webhook": SENT, "fail/webhook": SENT, "gone/webhook": SENT})
    assert found == {"start/webhook": SENT, "fail/webhook": recorded["fail/webhook"]}


def test_a_result_is_recorded_with_the_next_write_of_a_live_run() -> None:
    maker = (
        a_snapshot("a", config=wanting("webhook", events=["start"]))
        .recorded("a", "Running", startTime="2025-07-10T14:00:01Z")
        .with_status(
            phase="Running",
            startTime="2025-07-10T14:00:01Z",
            progress="0/1",
            notifications={"start/webhook": {"state": "Pending", "time": "2025-07-10T14:00:05Z"}},
        )
        .with_pod(a_pod("a").on_node().running(1))
        .with_fields(deliveries={"start/webhook": SENT})
    )
    plan = decide(maker.at(20).build())
    sent = {"state": "Sent", "attempts": 2, "sentAt": "2025-07-10T14:00:09Z"}
    assert plan.status == {"notifications": {"start/webhook": sent}}


@given(st.text(min_size=1).filter(lambda text: text.strip()), st.integers(1, 999))
def test_the_key_of_a_retry_says_step_and_attempt_whatever_the_step_is_called(
    step: str, attempt: int
) -> None:
    name = NoticeName("retry", "email", step, attempt)
    assert parse_name(name.key) == name


@pytest.mark.parametrize("key", ["", "fail", "fail/", "retry/slack/step", "retry/slack/step/x"])
def test_what_is_no_key_is_no_message(key: str) -> None:
    assert parse_name(key) is None


# --- scheduled times ---------------------------------------------------------------------------------


def skipped(second: float, reason: str = conditions.STILL_RUNNING) -> OutcomeView:
    return OutcomeView(at(second), "Skipped", reason)


STARTED = OutcomeView(at(0), "Started", conditions.RUN_STARTING, execution="x")


def test_times_without_a_run_are_noted_and_those_with_one_are_not() -> None:
    news = (STARTED, skipped(10), skipped(20))
    found = times.with_unrun_times({}, news, ["slack"])
    assert found == {"skip/slack": NoticeView("Pending", time=at(20), after=at(9))}
    assert times.with_unrun_times({}, (STARTED,), ["slack"]) == {}
    assert times.with_unrun_times({}, (skipped(10, conditions.SUSPENDED),), ["slack"]) == {}


def test_times_that_come_while_a_message_waits_are_told_in_the_same() -> None:
    before = {"skip/slack": NoticeView("Pending", time=at(10), after=at(9), attempts=3, last_error="500")}
    found = times.with_unrun_times(before, (skipped(20),), ["slack"])
    assert found["skip/slack"] == msgspec.structs.replace(before["skip/slack"], time=at(20))


@pytest.mark.parametrize("state", ["Sent", "Failed"])
def test_the_next_message_tells_of_what_came_after_the_last(state: str) -> None:
    before = {"skip/slack": NoticeView(state, time=at(10), after=at(0), attempts=1, sent_at=at(11))}
    found = times.with_unrun_times(before, (skipped(20),), ["slack"])["skip/slack"]
    assert found == NoticeView("Pending", time=at(20), after=at(10), sent_at=at(11))
    recent = [skipped(5), STARTED, skipped(10), skipped(20), skipped(30)]
    assert list(facts.unreported(recent, found.after, at(20))) == [skipped(20)]


def test_times_that_came_while_a_message_was_under_way_are_told_in_the_next() -> None:
    sent = NoticeView("Sent", time=at(10), after=at(0), attempts=1, sent_at=at(12))
    longer = NoticeView("Pending", time=at(20), after=at(0))
    found = merged({"skip/slack": longer}, {"skip/slack": sent})["skip/slack"]
    assert found == NoticeView("Pending", time=at(20), after=at(10), sent_at=at(12))
    assert merged({"skip/slack": found}, {"skip/slack": sent}) == {"skip/slack": found}
    assert timedelta(seconds=10) == at(20) - at(10)
    assert outbox.any_pending({"skip/slack": found})
