"""Targets of messages: which Secret counts, what is refused, and that no value of one is ever shown."""

from __future__ import annotations

import base64

import msgspec
import pytest

from nightcrawler_crds.kube.noticeviews import SecretValues, SecretView
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation import wanted_by, wanted_notices
from nightcrawler_operator.decisions.notifications.configured import configured, no_recipients, recipients
from nightcrawler_operator.decisions.notifications.targets import (
    MailTarget,
    TargetProblem,
    WebTarget,
    targets_of,
    usable,
)
from tests.support.messaging import SIGNING_SECRET, TOKEN, VALUES, all_channels, secret


def problem(
    channel: str, own: SecretValues | None, installation: SecretValues | None = None
) -> TargetProblem:
    found = targets_of(own, installation)[channel]
    assert isinstance(found, TargetProblem)
    return found


def mail(**values: str) -> MailTarget:
    given = {"smtp_url": "smtps://mail.example.com", "email_from": "a@example.com"} | values
    found = targets_of(secret(**given), None)["email"]
    assert isinstance(found, MailTarget), found
    return found


def test_the_installations_secret_counts_where_a_namespace_has_none() -> None:
    assert usable(targets_of(None, all_channels())) == {"email", "slack", "webhook"}
    assert usable(targets_of(None, None)) == frozenset()


def test_a_namespaces_secret_replaces_one_channel_and_leaves_the_others() -> None:
    own = secret(webhook_url="https://own.example/x", webhook_secret=SIGNING_SECRET)
    found = targets_of(own, all_channels())
    assert found["webhook"] == WebTarget("https://own.example/x", SIGNING_SECRET)
    assert found["slack"] == WebTarget(VALUES["slack-webhook-url"])


@pytest.mark.parametrize(
    ("channel", "own"),
    [
        ("webhook", secret(webhook_url="https://own.example/x")),
        ("webhook", secret(webhook_secret=SIGNING_SECRET)),
        ("email", secret(email_to="somebody@elsewhere.example")),
        ("email", secret(smtp_url="smtps://own.example")),
    ],
)
def test_keys_of_two_secrets_are_never_combined(channel: str, own: SecretValues) -> None:
    found = problem(channel, own, all_channels())
    assert found.reason == conditions.NO_TARGET
    assert "lacks" in found.message


def webhook(url: str, signed: str = SIGNING_SECRET) -> dict[str, str]:
    return {"webhook_url": url, "webhook_secret": signed}


def smtp(url: str, sender: str = "a@a.example", to: str = "") -> dict[str, str]:
    return {"smtp_url": url, "email_from": sender, "email_to": to}


@pytest.mark.parametrize(
    ("channel", "values", "key"),
    [
        ("webhook", webhook(f"http://a.example/{TOKEN}"), "webhook-url"),
        ("webhook", webhook(f"https:///{TOKEN}"), "webhook-url"),
        ("webhook", webhook(f"https://a.example:x/{TOKEN}"), "webhook-url"),
        ("webhook", webhook(f"https://a b.example/{TOKEN}"), "webhook-url"),
        ("webhook", webhook("https://a.example", TOKEN), "webhook-secret"),
        ("webhook", webhook("https://a.example", "whsec_c2hvcnQ="), "webhook-secret"),
        ("slack", {"slack_webhook_url": f"ftp://a.example/{TOKEN}"}, "slack-webhook-url"),
        ("email", smtp(f"http://a:{TOKEN}@a.example"), "smtp-url"),
        ("email", smtp(f"smtp://a:{TOKEN}@a.example:999999"), "smtp-url"),
        ("email", smtp("smtps://a.example", TOKEN), "email-from"),
        ("email", smtp("smtps://a.example", to=f"b@c, {TOKEN}"), "email-to"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_key_and_never_shown(
    channel: str, values: dict[str, str], key: str
) -> None:
    found = problem(channel, secret(**values))
    assert (found.reason, key in found.message) == (conditions.INVALID_TARGET, True)
    assert TOKEN not in found.message


@pytest.mark.parametrize("prefix", ["", "whsec_"])
@pytest.mark.parametrize("pad", ["=", ""])
def test_a_signing_secret_is_taken_with_and_without_prefix_and_padding(prefix: str, pad: str) -> None:
    written = base64.b64encode(b"x" * 32).decode().rstrip("=") + pad
    own = secret(webhook_url="https://a.example", webhook_secret=prefix + written)
    assert isinstance(targets_of(own, None)["webhook"], WebTarget)


def test_a_mail_servers_url_is_read_with_its_defaults_and_escapes() -> None:
    found = mail(smtp_url="smtp://us%40er:p%3Ass@mail.example.com")
    assert (found.host, found.port, found.implicit_tls) == ("mail.example.com", 587, False)
    assert (found.user, found.password) == ("us@er", "p:ss")
    found = mail(smtp_url="smtps://mail.example.com")
    assert (found.port, found.implicit_tls, found.user) == (465, True, "")
    assert mail(email_to="a@b.example, c@d.example\ne@f.example").recipients == (
        "a@b.example",
        "c@d.example",
        "e@f.example",
    )


def test_nothing_that_has_values_of_a_secret_shows_them() -> None:
    body = {"metadata": {"name": "n"}, "data": {"webhook-url": base64.b64encode(TOKEN.encode()).decode()}}
    view = msgspec.convert(body, SecretView, strict=False)
    assert view.values.text("webhook-url") == TOKEN
    values = [view, view.values, all_channels(), *targets_of(None, all_channels()).values()]
    shown = "".join(f"{one!r}{one}" for one in values)
    assert not any(secret_ in shown for secret_ in (TOKEN, "whsec", body["data"]["webhook-url"]))


# --- what a workflow wants ---------------------------------------------------------------------------


def spec(enabled: bool | None = None, **notifications: object) -> WorkflowSpec:
    written: dict[str, object] = {}
    if notifications:
        written["config"] = {"notifications": notifications}
    if enabled is not None:
        written["options"] = {"enableNotifications": enabled}
    return WorkflowSpec.model_validate(written)


@pytest.mark.parametrize(
    ("given", "named", "others"),
    [
        (spec(), "", ""),
        (spec(webhook=True), "webhook", ""),
        (spec(webhook=True, slack=False), "webhook", ""),
        (spec(False, webhook=True), "", ""),
        (spec(True, webhook=True, slack=False), "webhook", "email"),
        (spec(True), "", "email slack webhook"),
        (spec(True, email=False, slack=False, webhook=False), "", ""),
        (spec(None, email=False), "", ""),
    ],
)
def test_the_option_is_a_tri_state_over_the_channels(given: WorkflowSpec, named: str, others: str) -> None:
    wanted = wanted_notices(given)
    assert (set(wanted.channels), set(wanted.others)) == (set(named.split()), set(others.split()))
    assert bool(wanted) == bool(named or others)
    assert wanted == wanted_by(given.model_dump(by_alias=True, exclude_unset=True)) or not wanted


def test_without_events_failures_are_told() -> None:
    assert wanted_notices(spec(webhook=True)).events == {"fail"}
    events = {"config": {"notifications": {"slack": True}, "notificationEvents": ["start", "explode"]}}
    assert wanted_by(events).events == {"start"}
    assert not wanted_by({"config": {"notifications": {"slack": "perhaps"}}})


# --- the condition -----------------------------------------------------------------------------------


def condition_of(
    given: WorkflowSpec, own: SecretValues | None, domains: tuple[str, ...] = ()
) -> tuple[str, str, str]:
    found = configured(wanted_notices(given), targets_of(own, None), domains)
    assert found is not None
    return found


def test_a_workflow_that_wants_nothing_has_no_such_condition() -> None:
    assert configured(wanted_notices(spec()), targets_of(None, None), ()) is None


def test_targets_that_are_not_known_yet_are_no_reason_to_warn() -> None:
    found = configured(wanted_notices(spec(slack=True)), None, ())
    assert found is not None
    assert found[:2] == ("Unknown", conditions.TARGETS_UNKNOWN)


def test_a_ticked_channel_without_target_is_said_with_what_to_do() -> None:
    status, reason, message = condition_of(
        spec(slack=True, webhook=True), secret(slack_webhook_url="https://a.example")
    )
    assert (status, reason) == ("False", conditions.NO_TARGET)
    assert message == (
        "webhook has no target: put webhook-url and webhook-secret into a Secret nightcrawler-notifications "
        "in the workflow's namespace, or have the installation's set"
    )


def test_enabled_without_any_channel_uses_those_that_have_a_target() -> None:
    own = secret(slack_webhook_url="https://a.example")
    assert condition_of(spec(True), own) == ("True", conditions.TARGETS_FOUND, "there is a target for slack")
    status, reason, message = condition_of(spec(True), None)
    assert (status, reason) == ("False", conditions.NO_TARGET)
    assert message.startswith("notifications are enabled, and no channel has a target: email has no target")


def test_e_mails_need_somebody_who_gets_them() -> None:
    own = secret(smtp_url="smtps://mail.example", email_from="a@mail.example")
    assert condition_of(spec(email=True), own)[1] == conditions.NO_RECIPIENTS
    assert condition_of(spec(email=True, emailTo=["b@example.com"]), own)[0] == "True"


def test_recipients_of_other_domains_are_refused_where_the_installation_says_so() -> None:
    own = secret(smtp_url="smtps://mail.example", email_from="a@mail.example", email_to="c@evil.example")
    domains = ("Example.com",)
    status, reason, message = condition_of(
        spec(email=True, emailTo=["b@example.COM", "c@evil.example"]), own, domains
    )
    assert (status, reason) == ("False", conditions.REFUSED_RECIPIENTS)
    assert message.startswith("c@evil.example cannot get e-mails")
    target = targets_of(own, None)["email"]
    assert isinstance(target, MailTarget)
    both = wanted_notices(spec(email=True, emailTo=["b@example.com", "c@evil.example"]))
    assert recipients(both, target, domains) == ("b@example.com",)
    nobody = no_recipients(wanted_notices(spec(email=True)), target, domains)
    assert nobody is not None
    assert nobody.reason == conditions.REFUSED_RECIPIENTS
