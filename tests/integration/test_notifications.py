"""Messages about runs, to a real HTTPS receiver, one shaped like Slack's, and a real mail server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from localcluster.api import RefusedError
from localcluster.credentials import OPERATOR
from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.cluster import a_namespace
from tests.support.facade import serving
from tests.support.messaging import SIGNING_SECRET, TOKEN
from tests.support.notified import Notified
from tests.support.operator import Operators, operators_in
from tests.support.polling import eventually
from tests.support.proxy import FaultProxy
from tests.support.receivers import Certificates, MailReceiver, Posted, WebReceiver
from tests.support.team import Json, Team

pytestmark = pytest.mark.usefixtures("nodes")

USER: Final = "bot"
PASSWORD: Final = f"p@ss:{TOKEN}"
OTHER_SECRET: Final = "whsec_" + base64.b64encode(b"another that the receiver knows").decode()
STEP: Final = {"name": "s", "image": "busybox:1"}
EVENTS: Final = ["start", "complete", "fail", "cancel", "retry"]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def web(signed: Certificates) -> Iterator[WebReceiver]:
    with WebReceiver(signed).serving() as serving:
        yield serving


@pytest.fixture(scope="module")
def place(
    cluster: LocalCluster, signed: Certificates, web: WebReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notified]:
    folder = tmp_path_factory.mktemp("targets")
    with (
        MailReceiver(signed, USER, PASSWORD, implicit=False).serving() as mail,
        a_namespace(cluster) as namespace,
        operators_in(cluster, namespace, tmp_path_factory.mktemp("operator")) as operators,
    ):
        values = {
            "webhook-url": f"{web.url}/hook/{TOKEN}",
            "webhook-secret": SIGNING_SECRET,
            "slack-webhook-url": f"{web.url}/services/{TOKEN}",
            "smtp-url": f"smtp://{USER}:p%40ss%3A{TOKEN}@{mail.address}",
            "email-from": "nightcrawler@example.com",
            "email-to": "ops@example.com",
        }
        for key, value in values.items():
            (folder / key).write_text(value + "\n")
        settings = {
            "notifications_folder": folder,
            "notifications_allow_internal": True,
            "notifications_ca_file": signed.authority,
            "notification_domains": "example.com",
            "public_url": "https://workflows.example.com",
        }
        operators.start(**settings)
        yield Notified(Team(cluster, namespace), operators, web, mail, settings)
        reveals_nothing(place=Notified(Team(cluster, namespace), operators, web, mail, settings))


def reveals_nothing(place: Notified) -> None:
    """No status, Event or log line of all these tests has a secret value in it."""
    kinds = (names.WORKFLOWS, names.EXECUTIONS, names.EVENTS, names.JOBS, names.PODS)
    shown = json.dumps([place.team.every(kind) for kind in kinds])
    shown += "".join(operator.log for operator in place.operators._made)
    for value in (TOKEN, SIGNING_SECRET, OTHER_SECRET, PASSWORD, "whsec_"):
        assert value not in shown


@pytest.fixture(autouse=True)
def fresh(place: Notified) -> Iterator[None]:
    yield
    place.web.answers = lambda _: 204
    place.mail.refuses = ""
    place.own_secret()


def telling(name: str, *channels: str, events: list[str] | None = None, **config: Any) -> WorkflowBuilder:
    ticked: Json = {**dict.fromkeys(channels, True), **config.pop("notifications", {})}
    made = a_workflow(name).config(notifications=ticked, **config)
    return made if events is None else made.config(notification_events=events)


def test_each_channel_tells_how_a_run_went(place: Notified) -> None:
    workflow = telling("goes", "webhook", "slack", "email", events=EVENTS).with_spec(
        display_name="Nightly <1>"
    )
    (run,) = place.team.runs(workflow.step("train"))
    status = place.until_settled(run)
    assert {notice["state"] for notice in status["notifications"].values()} == {"Sent"}
    assert status["notifications"].keys() == {
        f"{event}/{channel}" for event in ("start", "complete") for channel in ("email", "slack", "webhook")
    }
    assert sorted(place.events_of(run)) == ["complete", "start"]
    (end,) = [one for one in place.events() if one["type"] == "dev.nightcrawler.execution.completed"]
    assert end["data"]["execution"]["phase"] == "Completed"
    assert end["data"]["link"] == f"https://workflows.example.com/api/workflows/goes/executions/{run}"
    assert end["time"] == status["completionTime"]

    texts = [json.loads(one.body)["text"] for one in place.web.to(f"/services/{TOKEN}")]
    assert any(text.startswith(":arrow_forward: *Nightly &lt;1&gt; started*") for text in texts)
    mailed = [one for one in place.mail.mailed if run in one.message.as_string()]
    assert [one.recipients for one in mailed] == [("ops@example.com",)] * 2
    assert all(one.encrypted and one.user == USER for one in mailed)


def test_a_failure_a_retry_and_a_cancellation_are_told_with_their_reason(place: Notified) -> None:
    failing = telling("fails", "webhook", events=EVENTS).step("s", exit_code=3, retries=1, retryDelay=0)
    (run,) = place.team.runs(failing)
    place.until_settled(run)
    assert sorted(place.events_of(run)) == ["fail", "retry", "start"]
    by_event = {one["data"]["event"]: one["data"] for one in place.events() if one["subject"] == run}
    assert "exit code 3" in by_event["fail"]["message"]
    assert "attempt 1 of step 's' failed" in by_event["retry"]["title"]

    (run,) = place.team.runs(telling("stopped", "webhook", events=EVENTS).step("s", lasts=600))
    place.until_notice(run, "start/webhook", "Sent")
    place.team.cancel(run)
    place.until_settled(run)
    assert sorted(place.events_of(run)) == ["cancel", "start"]


def test_unless_said_otherwise_failures_alone_are_told(place: Notified) -> None:
    good, bad = telling("good", "webhook").step("s"), telling("bad", "webhook").step("s", exit_code=1)
    off = telling("off", "webhook").options(enableNotifications=False).step("s", exit_code=1)
    runs = [place.team.runs(workflow)[0] for workflow in (good, bad, off)]
    for run in runs:
        place.team.until_ended(run)
    place.until_settled(runs[1])
    assert [place.events_of(run) for run in runs] == [[], ["fail"], []]
    for run in (runs[0], runs[2]):
        assert {"settled", "duties", "notifications"}.isdisjoint(place.team.status(run))


def test_recipients_of_its_own_get_the_e_mails_if_their_domain_is_allowed(place: Notified) -> None:
    to = {"emailTo": ["a@example.com", "b@evil.example"]}
    (run,) = place.team.runs(telling("mine", "email", notifications=to).step("s", exit_code=1))
    place.until_settled(run)
    (mailed,) = [one for one in place.mail.mailed if run in one.message.as_string()]
    assert mailed.recipients == ("a@example.com",)
    said = place.team.until_condition(names.WORKFLOWS, "mine", conditions.NOTIFICATIONS_CONFIGURED, "False")
    assert said["reason"] == conditions.REFUSED_RECIPIENTS


def test_a_namespaces_own_secret_replaces_a_channel_and_can_be_rotated(place: Notified) -> None:
    place.own_secret(webhook_url=f"{place.web.url}/own/{TOKEN}", webhook_secret=SIGNING_SECRET)
    workflow = telling("owned", "webhook", "slack").step("s", exit_code=1)
    place.team.apply(workflow)
    place.team.until_condition(names.WORKFLOWS, "owned", conditions.NOTIFICATIONS_CONFIGURED, "True")

    def has_arrived(secret: str) -> None:
        run = place.team.run(workflow)
        place.until_settled(run)
        assert place.events_of(run, f"/own/{TOKEN}", secret) == ["fail"]
        assert not place.events_of(run)
        assert any(run in one.body.decode() for one in place.web.to(f"/services/{TOKEN}"))

    has_arrived(SIGNING_SECRET)
    place.web.posted.clear()
    place.own_secret(webhook_url=f"{place.web.url}/own/{TOKEN}", webhook_secret=OTHER_SECRET)
    # A workflow whose condition is said anew shows that the operator knows of it.
    place.own_secret(webhook_url=f"{place.web.url}/own/{TOKEN}")
    place.team.until_condition(names.WORKFLOWS, "owned", conditions.NOTIFICATIONS_CONFIGURED, "False")
    place.own_secret(webhook_url=f"{place.web.url}/own/{TOKEN}", webhook_secret=OTHER_SECRET)
    place.team.until_condition(names.WORKFLOWS, "owned", conditions.NOTIFICATIONS_CONFIGURED, "True")
    has_arrived(OTHER_SECRET)


def test_a_channel_that_cannot_be_used_is_said_and_ends_the_message(place: Notified) -> None:
    place.own_secret(webhook_url=f"http://{TOKEN}.example", webhook_secret=SIGNING_SECRET)
    workflow = telling("unusable", "webhook").step("s", exit_code=1)
    (run,) = place.team.runs(workflow)
    said = place.team.until_condition(
        names.WORKFLOWS, "unusable", conditions.NOTIFICATIONS_CONFIGURED, "False"
    )
    assert said["reason"] == conditions.INVALID_TARGET
    assert "webhook-url must be a URL that begins with https://" in said["message"]
    notice = place.until_settled(run)["notifications"]["fail/webhook"]
    assert (notice["state"], "webhook-url" in notice["lastError"]) == ("Failed", True)


@pytest.mark.parametrize("status", [302, 404, 410])
def test_what_is_refused_for_good_is_sent_once(place: Notified, status: int) -> None:
    place.web.answers = lambda _: status
    (run,) = place.team.runs(telling(f"refused-{status}", "webhook").step("s", exit_code=1))
    notice = place.until_settled(run)["notifications"]["fail/webhook"]
    assert (notice["state"], notice["attempts"]) == ("Failed", 1)
    assert str(status) in notice["lastError"]
    assert place.events_of(run) == ["fail"]
    assert not place.web.to("/elsewhere")


def test_a_receiver_that_is_down_gets_the_message_later_with_the_same_id(place: Notified) -> None:
    place.web.answers = lambda _: 500
    (run,) = place.team.runs(telling("down", "webhook").step("s", exit_code=1))
    notice = eventually(
        lambda: place.team.status(run).get("notifications", {}).get("fail/webhook", {}),
        until=lambda seen: seen.get("attempts") == 1,
    )
    assert (notice["state"], notice["lastError"]) == ("Pending", "the receiver answered 500")
    assert place.team.status(run)["duties"] == ["Notifications"]
    place.web.answers = lambda _: 204
    notice = place.until_settled(run)["notifications"]["fail/webhook"]
    assert notice["state"] == "Sent"
    assert "lastError" not in notice
    posted = [one for one in place.web.to(f"/hook/{TOKEN}") if run in one.body.decode()]
    assert len(posted) == notice["attempts"] >= 2
    assert len({one.headers["webhook-id"] for one in posted}) == 1
    assert len({one.headers["webhook-timestamp"] for one in posted}) == len(posted)


def test_neither_a_step_nor_another_receiver_waits_for_one_that_hangs(place: Notified) -> None:
    place.web.answers = lambda one: 0 if one.path.startswith("/hook") else 204
    slow = telling("hangs", "webhook", events=["start", "complete"])
    for number in range(3):
        slow = slow.step(f"s{number}")
    runs = place.team.runs(slow, 6)
    for run in runs:
        place.team.until_phase(run, "Completed", within=30)
    (other,) = place.team.runs(telling("quick", "slack").step("s", exit_code=1))
    # Its receiver would be waited for 10 s by each of the workers.
    place.until_notice(other, "fail/slack", "Sent", within=9)


def test_an_operator_that_is_killed_after_sending_repeats_the_message_once(place: Notified) -> None:
    (operator,) = [one for one in place.operators._made if one.is_alive]
    killed: list[Posted] = []

    def kill(posted: Posted) -> int:
        if not killed and '"fail"' in posted.body.decode():
            operator.kill()
            killed.append(posted)  # the test goes on once it is dead
        return 204

    place.web.answers = kill
    (run,) = place.team.runs(telling("killed", "webhook").step("s", exit_code=1))
    eventually(lambda: killed, what="the message")
    assert place.team.status(run)["notifications"]["fail/webhook"]["state"] == "Pending"
    operator.start()
    place.until_settled(run)
    posted = [one for one in place.web.to(f"/hook/{TOKEN}") if run in one.body.decode()]
    assert len(posted) == 2
    assert len({one.headers["webhook-id"] for one in posted}) == 1


def test_scheduled_times_that_did_not_run_are_told_together(place: Notified) -> None:
    schedule = {"type": "interval", "interval": "10 seconds"}
    workflow = telling("often", "webhook", events=["skip"], schedule=schedule).step("s", lasts=600)
    place.team.apply(workflow)
    found = eventually(
        lambda: [one for one in place.events() if one["subject"] == "often"],
        what="a message about skipped times",
        within=60,
    )
    assert found[0]["type"] == "dev.nightcrawler.schedule.skipped"
    assert {one["reason"] for one in found[0]["data"]["times"]} == {"StillRunning"}
    notice = eventually(
        lambda: (place.team.get(names.WORKFLOWS, "often") or {})["status"]["notifications"]["skip/webhook"],
        until=lambda seen: "sentAt" in seen,
    )
    assert notice["time"] >= found[0]["time"]
    place.team.delete(names.WORKFLOWS, "often")


# --- other installations -----------------------------------------------------------------------------


def test_an_address_inside_is_refused_where_the_installation_allows_none(
    operators: Operators, team: Team, place: Notified
) -> None:
    operators.start(**{**place.settings, "notifications_allow_internal": False})
    (run,) = team.runs(telling("inside", "webhook", "email").step("s", exit_code=1))
    other = Notified(team, operators, place.web, place.mail, place.settings)
    before = len(place.web.posted)
    status = other.until_settled(run)
    for notice in status["notifications"].values():
        assert notice["state"] == "Failed"
        assert "is not public, and this installation allows no others" in notice["lastError"]
    assert len(place.web.posted) == before


def test_an_api_server_that_is_away_after_the_sending_has_nothing_sent_again(
    operators: Operators, team: Team, proxy: FaultProxy, place: Notified
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig, **place.settings)
    other = Notified(team, operators, place.web, place.mail, place.settings)
    arrived: list[Posted] = []

    def cut(posted: Posted) -> int:
        if not arrived:
            arrived.append(posted)
            proxy.on("PATCH", "/status", times=8, status=503)
        return 204

    place.web.answers = cut
    (run,) = team.runs(telling("away", "webhook").step("s", exit_code=1))
    other.until_settled(run)
    assert other.events_of(run) == ["fail"]
    assert len([asked for asked in proxy.asked if asked.startswith("PATCH")]) > 8


def test_the_operator_may_read_secrets_of_this_name_and_no_others(
    cluster: LocalCluster, place: Notified
) -> None:
    def may(verb: str, name: str = "") -> bool:
        asked = {"namespace": place.team.namespace, "verb": verb, "resource": "secrets", "name": name}
        body = {"spec": {"user": OPERATOR, "resourceAttributes": asked}}
        answer = cluster.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"]["allowed"])

    assert may("list", names.NOTIFICATIONS_SECRET)
    assert may("watch", names.NOTIFICATIONS_SECRET)
    for verb in ("get", "list", "watch", "update", "delete"):
        assert not may(verb)
        assert not may(verb, "another")


def test_the_folder_of_the_installations_secret_may_be_missing(
    operators: Operators, team: Team, tmp_path: Path
) -> None:
    operators.start(notifications_folder=tmp_path / "none")
    workflow = telling("nowhere", "slack").step("s", exit_code=1)
    (run,) = team.runs(workflow)
    said = team.until_condition(names.WORKFLOWS, "nowhere", conditions.NOTIFICATIONS_CONFIGURED, "False")
    assert said["reason"] == conditions.NO_TARGET
    status = team.until_ended(run)
    assert status["phase"] == "Failed"


def test_over_rest_a_channel_without_target_is_a_warning(
    cluster: LocalCluster, place: Notified, tmp_path: Path
) -> None:
    with serving(cluster, tmp_path, notification_domains="example.com") as served:
        beside = Notified(Team(cluster, served.namespace), place.operators, place.web, place.mail, {})
        with operators_in(cluster, served.namespace, tmp_path) as operators:
            operators.start(notifications_allow_internal=True)
            body = {"name": "Tells", "config": {"notifications": {"slack": True}}, "steps": [STEP]}
            created = served.ask("POST", body=body, code=201)
            (warning,) = created["warnings"]
            assert "slack has no target: put slack-webhook-url into a Secret" in warning
            detail = served.ask("GET", f"/{created['id']}")
            assert any(one["type"] == conditions.NOTIFICATIONS_CONFIGURED for one in detail["conditions"])

            beside.own_secret(slack_webhook_url=f"{place.web.url}/rest/{TOKEN}")
            beside.team.until_condition(
                names.WORKFLOWS, created["id"], conditions.NOTIFICATIONS_CONFIGURED, "True"
            )
            updated = served.ask("PUT", f"/{created['id']}", {"description": "again"})
            assert "warnings" not in updated

            quiet = served.ask("POST", body={"name": "Quiet"}, code=201)
            assert "warnings" not in quiet

        problem = served.refused(
            "PUT", f"/{created['id']}", {"config": {"notificationEvents": ["finish"]}}, code=422
        )
        assert problem["errors"][0]["pointer"] == "/config/notificationEvents/0"
        assert "the events are start, complete, fail, cancel, skip, retry, late" in str(problem)
        elsewhere = {"config": {"notifications": {"email": True, "emailTo": ["a@evil.example"]}}}
        problem = served.refused("PUT", f"/{created['id']}", elsewhere, code=422)
        assert problem["errors"][0]["pointer"] == "/config/notifications/emailTo/0"
        no_address = {"config": {"notifications": {"emailTo": ["nobody"]}}}
        served.refused("PUT", f"/{created['id']}", no_address, code=422)


def test_the_api_server_refuses_other_events_and_what_is_no_address(place: Notified) -> None:
    for config in ({"notification_events": ["finish"]}, {"notifications": {"emailTo": ["a@b, c@d"]}}):
        with pytest.raises(RefusedError, match="notification"):
            place.team.apply(a_workflow("refused").step("s").config(**config))
