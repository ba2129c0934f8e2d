"""What messages say: as CloudEvents, in Slack, by e-mail."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook, WebhookVerificationError

from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.v1alpha1 import NOTICE_EVENTS
from nightcrawler_operator.decisions.notifications import messages
from nightcrawler_operator.decisions.notifications.facts import link_to, of_run, of_times
from nightcrawler_operator.decisions.notifications.outbox import NoticeName
from nightcrawler_operator.effects.notifications.web import signature
from tests.support.messaging import FAILED, NOW, SIGNING_SECRET, URL, facts_about
from tests.support.views import at, execution, workflow


def test_a_webhook_gets_a_cloud_event_that_says_what_how_and_why() -> None:
    event = messages.cloud_event(facts_about("fail"))
    read = JSONFormat().read(CloudEvent, json.dumps(event))
    assert read.get_type() == "dev.nightcrawler.execution.failed"
    assert read.get_source() == "/apis/nightcrawler.dev/v1alpha1/namespaces/default/workflows/wf-1001"
    assert read.get_subject() == "exec-1"
    assert read.get_time() == datetime(2025, 7, 10, 14, 47, 5, tzinfo=UTC)
    assert read.get_data() == {
        "event": "fail",
        "title": "Image Classification failed after 2 minutes 5 seconds",
        "namespace": "default",
        "workflow": {"id": "wf-1001", "name": "Image Classification"},
        "message": "step 'train' failed: exit code 3",
        "link": "https://workflows.example/api/workflows/wf-1001/executions/exec-1",
        "execution": {
            "id": "exec-1",
            "phase": "Failed",
            "environment": "production",
            "startTime": "2025-07-10T14:45:00Z",
            "endTime": "2025-07-10T14:47:05Z",
            "duration": "00:02:05",
            "progress": "1/2",
        },
        "steps": [
            {
                "name": "train",
                "phase": "Failed",
                "attempt": 2,
                "message": "step 'train' failed: exit code 3",
                "duration": "00:01:05",
            }
        ],
    }


@pytest.mark.parametrize("event", [event for event in NOTICE_EVENTS if event != "skip"])
def test_every_event_has_a_message_in_every_channel(event: str) -> None:
    facts = facts_about(event, *(("train", 2) if event == "retry" else ()))
    made = messages.cloud_event(facts)
    JSONFormat().read(CloudEvent, json.dumps(made))
    assert made["data"]["event"] == event
    assert facts.title in messages.mail(facts).subject
    assert "exec-1" in messages.slack_message(facts)["text"]


def test_the_id_follows_from_what_happened_and_tells_it_from_all_else() -> None:
    ids = [
        facts_about("fail").id,
        facts_about("start").id,
        facts_about("retry", "a", 1).id,
        facts_about("retry", "a", 2).id,
        facts_about("retry", "b", 1).id,
    ]
    assert len(set(ids)) == len(ids)
    assert facts_about("fail").id == facts_about("fail", phase="Failed").id
    assert all(one.startswith("msg_") and len(one) == 36 for one in ids)


def test_the_signature_is_what_standard_webhooks_verify_and_changes_with_each_part() -> None:
    now = datetime.now(UTC)  # noqa: TID251 - a receiver compares it with its own clock
    body = b'{"specversion": "1.0"}'
    headers = signature(SIGNING_SECRET, "msg_1", body, now)
    assert Webhook(SIGNING_SECRET).verify(body, headers) == {"specversion": "1.0"}
    for changed in (
        {**headers, "webhook-id": "msg_2"},
        {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(SIGNING_SECRET).verify(body, changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(SIGNING_SECRET).verify(body + b" ", headers)
    # As the specification has it, whatever the library does.
    assert signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        datetime.fromtimestamp(1614265330, UTC),
    ) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_slack_gets_one_readable_message_with_a_link() -> None:
    text = messages.slack_message(facts_about("fail"))["text"]
    assert text == (
        ":x: *Image Classification failed after 2 minutes 5 seconds*\n"
        "step 'train' failed: exit code 3\n"
        "<https://workflows.example/api/workflows/wf-1001/executions/exec-1|exec-1>"
    )


def test_what_users_wrote_is_neither_markup_nor_a_mention_nor_html() -> None:
    facts = facts_about("fail", phase="Failed", message="<!channel> & *bold* <script>alert(1)</script>")
    text = messages.slack_message(facts)["text"]
    assert "<!channel>" not in text
    assert "&lt;!channel&gt; &amp;" in text
    html = messages.mail(facts).html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_an_e_mail_says_what_how_it_ended_the_error_durations_and_the_link() -> None:
    mail = messages.mail(facts_about("fail"))
    assert mail.subject == "Image Classification failed after 2 minutes 5 seconds"
    assert (
        mail.text
        == """\
Image Classification failed after 2 minutes 5 seconds.

step 'train' failed: exit code 3

Workflow:     Image Classification (wf-1001)
Namespace:    default
Execution:    exec-1
Environment:  production
Started:      2025-07-10T14:45:00Z
Ended:        2025-07-10T14:47:05Z
Duration:     2 minutes 5 seconds
Steps:        1/2 completed
Step:         train: Failed (attempt 2, 1 minute 5 seconds)

https://workflows.example/api/workflows/wf-1001/executions/exec-1
"""
    )
    for text in ("2 minutes 5 seconds", "train: Failed", "exec-1", 'href="https://workflows.example'):
        assert text in mail.html


def test_a_retry_says_why_only_while_that_is_known() -> None:
    retrying = {"phase": "Retrying", "attempt": 1, "message": "step 'train' failed: exit code 9"}
    assert (
        "exit code 9" in facts_about("retry", "train", 1, phase="Running", steps={"train": retrying}).detail
    )
    next_one = {"phase": "Running", "attempt": 2}
    facts = facts_about("retry", "train", 1, phase="Running", steps={"train": next_one})
    assert facts.title == "Image Classification: attempt 1 of step 'train' failed, and it is tried again"
    assert facts.detail == ""


def test_parameters_and_variables_are_in_no_message() -> None:
    run = execution("exec-1", spec={"parameters": {"token": "hunter2"}}, **FAILED)
    facts = of_run(run, workflow(), NoticeName("fail", "any"), NoticeView("Pending"), URL, NOW)
    mail = messages.mail(facts)
    made = (
        json.dumps(messages.cloud_event(facts)),
        messages.slack_message(facts)["text"],
        mail.text,
        mail.html,
    )
    assert not any("hunter2" in text for text in made)


def test_terminal_sequences_and_line_breaks_stay_out_of_a_subject() -> None:
    run = execution("exec-1", **FAILED)
    odd = workflow(displayName="Evil\x1b[31m\r\nBcc: all@example.com")
    facts = of_run(run, odd, NoticeName("fail", "any"), NoticeView("Pending"), URL, NOW)
    assert messages.mail(facts).subject == "Evil Bcc: all@example.com failed after 2 minutes 5 seconds"


def test_skipped_times_are_told_together() -> None:
    recent = [
        {"time": "2025-07-10T12:00:00Z", "outcome": "Skipped", "reason": "StillRunning"},
        {"time": "2025-07-10T13:00:00Z", "outcome": "Started", "reason": "Running"},
        {
            "time": "2025-07-10T14:00:00Z",
            "outcome": "Dropped",
            "reason": "DeadlineExceeded",
            "message": "too late",
        },
    ]
    flow = workflow("wf-9", uid="u", displayName="Nightly", status={"schedule": {"recent": recent}})
    facts = of_times(flow, NoticeView("Pending", at("14:00:00"), after=at("11:00:00")), URL, NOW)
    assert facts.title == "Nightly: 2 scheduled times did not run"
    event = messages.cloud_event(facts)
    JSONFormat().read(CloudEvent, json.dumps(event))
    assert (event["type"], event["subject"]) == ("dev.nightcrawler.schedule.skipped", "wf-9")
    assert event["data"]["times"] == [
        {"time": "2025-07-10T12:00:00Z", "outcome": "Skipped", "reason": "StillRunning"},
        {"time": "2025-07-10T14:00:00Z", "outcome": "Dropped", "reason": "DeadlineExceeded"},
    ]
    mail = messages.mail(facts)
    assert "No run for:   2025-07-10T14:00:00Z (DeadlineExceeded)" in mail.text
    assert "(DeadlineExceeded): too late" in messages.slack_message(facts)["text"]


@pytest.mark.parametrize(
    ("public_url", "run", "link"),
    [
        ("", "x", None),
        ("https://a.example/", "x", "https://a.example/api/workflows/wf/executions/x"),
        ("https://a.example/base", None, "https://a.example/base/api/workflows/wf"),
        ("https://a.example/{namespace}/{workflow}/runs/{execution}", "x", "https://a.example/ns/wf/runs/x"),
        ("https://a.example/#/{workflow}/{execution}?tab=log", "x", "https://a.example/#/wf/x?tab=log"),
        ("https://a.example/w/{workflow}/runs/{execution}", None, "https://a.example/w/wf/runs"),
    ],
)
def test_links_lead_to_the_page_of_a_run_or_to_the_api(
    public_url: str, run: str | None, link: str | None
) -> None:
    assert link_to(public_url, "ns", "wf", run) == link
