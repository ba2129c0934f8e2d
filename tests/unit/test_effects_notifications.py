"""Messages on the wire, to real receivers: what arrives, what is refused, and how that is recorded."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from nightcrawler_operator.decisions.notifications.targets import MailTarget, WebTarget, targets_of
from nightcrawler_operator.effects.notifications import delivery, web
from nightcrawler_operator.effects.notifications.delivery import DeliveryError, Message
from nightcrawler_operator.effects.notifications.transport import Transports
from tests.support.messaging import SIGNING_SECRET, TOKEN, facts_about, secret
from tests.support.receivers import Certificates, MailReceiver, WebReceiver, clients_gone

USER, PASSWORD = "bot", f"p@ss:{TOKEN}"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def receiver(signed: Certificates) -> Iterator[WebReceiver]:
    with WebReceiver(signed).serving() as serving:
        yield serving


@pytest.fixture(autouse=True)
async def fresh(receiver: WebReceiver) -> AsyncIterator[None]:
    receiver.posted.clear()
    receiver.answers = lambda _: 204
    yield
    await clients_gone()


@pytest.fixture
async def transports(signed: Certificates) -> AsyncIterator[Transports]:
    made = Transports(internal=True, ca_file=signed.authority)
    yield made
    await made.close()


def webhook(receiver: WebReceiver, path: str = f"/hook/{TOKEN}") -> Message:
    return Message(facts_about("fail"), "webhook", WebTarget(receiver.url + path, SIGNING_SECRET))


async def refused(
    transports: Transports, message: Message, caplog: pytest.LogCaptureFixture
) -> DeliveryError:
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryError) as raised:
        await transports.send(message)
    assert TOKEN not in str(raised.value)
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]  # the server's own
    assert TOKEN not in "".join(ours)
    assert raised.value.__cause__ is None
    return raised.value


async def test_a_webhook_gets_one_signed_cloud_event(transports: Transports, receiver: WebReceiver) -> None:
    message = webhook(receiver)
    await transports.send(message)
    (posted,) = receiver.posted
    assert posted.path == f"/hook/{TOKEN}"
    assert posted.headers["Content-Type"].startswith("application/cloudevents+json")
    event = Webhook(SIGNING_SECRET).verify(posted.body, posted.headers)
    assert event["id"] == posted.headers["webhook-id"] == message.facts.id


async def test_slack_gets_json_with_a_text(transports: Transports, receiver: WebReceiver) -> None:
    await transports.send(Message(facts_about("complete"), "slack", WebTarget(receiver.url + "/services/x")))
    (posted,) = receiver.posted
    assert posted.headers["Content-Type"].startswith("application/json")
    assert b'"text":":white_check_mark: *Image Classification completed' in posted.body
    assert "webhook-signature" not in posted.headers


@pytest.mark.parametrize(
    ("status", "final", "sentence"),
    [
        (302, True, "the receiver answered 302: redirects are not followed"),
        (400, True, "the receiver answered 400"),
        (404, True, "the receiver answered 404"),
        (408, False, "the receiver answered 408"),
        (410, True, "the receiver answered 410: it is gone"),
        (429, False, "the receiver answered 429"),
        (500, False, "the receiver answered 500"),
        (503, False, "the receiver answered 503"),
    ],
)
async def test_a_refusal_is_final_unless_it_may_pass(
    transports: Transports,
    receiver: WebReceiver,
    caplog: pytest.LogCaptureFixture,
    status: int,
    final: bool,
    sentence: str,
) -> None:
    receiver.answers = lambda _: status
    error = await refused(transports, webhook(receiver), caplog)
    assert (error.sentence, error.final) == (sentence, final)
    assert len(receiver.posted) == 1


async def test_a_receiver_that_hangs_is_left_after_the_time(
    transports: Transports,
    receiver: WebReceiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.5)
    receiver.answers = lambda _: 0
    error = await refused(transports, webhook(receiver), caplog)
    assert (error.final, error.sentence) == (False, "the receiver did not answer within 0.5 seconds")
    assert delivery.TIMEOUT == 10


async def test_a_loopback_address_is_refused_where_internal_ones_are_not_allowed(
    signed: Certificates, receiver: WebReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    made = Transports(internal=False, ca_file=signed.authority)
    for url in (receiver.url, receiver.url.replace("localhost", "127.0.0.1")):
        message = Message(facts_about("fail"), "webhook", WebTarget(f"{url}/{TOKEN}", SIGNING_SECRET))
        error = await refused(made, message, caplog)
        assert error.final
        assert "is not public, and this installation allows no others" in error.sentence
    await made.close()
    assert not receiver.posted


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    receiver: WebReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    made = Transports(internal=True, ca_file=None)
    error = await refused(made, webhook(receiver), caplog)
    await made.close()
    assert error.sentence == "the receiver's certificate is not trusted, or TLS failed"
    assert not receiver.posted


async def test_what_cannot_be_reached_is_tried_again(
    transports: Transports, receiver: WebReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    closed = Message(
        facts_about("fail"), "webhook", WebTarget(f"https://localhost:1/{TOKEN}", SIGNING_SECRET)
    )
    error = await refused(transports, closed, caplog)
    assert (error.sentence, error.final) == ("the receiver cannot be reached", False)
    unknown = WebTarget(f"https://nowhere.invalid/{TOKEN}", SIGNING_SECRET)
    error = await refused(transports, Message(facts_about("fail"), "webhook", unknown), caplog)
    assert (error.sentence, error.final) == ("the receiver's name cannot be resolved", False)


async def test_a_file_of_certificates_that_is_missing_is_said(
    receiver: WebReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Transports(internal=True, ca_file=tmp_path / "none")
    error = await refused(made, webhook(receiver), caplog)
    assert "NIGHTCRAWLER_NOTIFICATIONS_CA_FILE" in error.sentence


# --- e-mail ------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["smtps", "starttls"])
def server(request: pytest.FixtureRequest, signed: Certificates) -> Iterator[MailReceiver]:
    with MailReceiver(signed, USER, PASSWORD, implicit=request.param).serving() as serving:
        yield serving


def mail_target(server: MailReceiver, **changes: str) -> MailTarget:
    scheme = "smtps" if server.implicit else "smtp"
    given: dict[str, Any] = {
        "smtp_url": f"{scheme}://{USER}:p%40ss%3A{TOKEN}@{server.address}",
        "email_from": "nightcrawler@example.com",
    }
    found = targets_of(secret(**given | changes), None)["email"]
    assert isinstance(found, MailTarget)
    return found


def e_mail(server: MailReceiver, *recipients: str, **changes: str) -> Message:
    return Message(
        facts_about("fail"), "email", mail_target(server, **changes), recipients or ("a@example.com",)
    )


async def test_an_e_mail_arrives_over_tls_after_a_login_as_text_and_html(
    transports: Transports, server: MailReceiver
) -> None:
    await transports.send(e_mail(server, "a@example.com", "b@example.com"))
    (got,) = server.mailed
    assert (got.user, got.encrypted, got.sender) == (USER, True, "nightcrawler@example.com")
    assert got.recipients == ("a@example.com", "b@example.com")
    assert got.message["Subject"] == "Image Classification failed after 2 minutes 5 seconds"
    assert got.message["Message-ID"] == f"<{facts_about('fail').id}@example.com>"
    assert got.message["Auto-Submitted"] == "auto-generated"
    text, html = (got.message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert "Step:         train: Failed (attempt 2, 1 minute 5 seconds)" in text.get_content()
    assert "<h3>Image Classification failed" in html.get_content()


async def test_a_wrong_password_is_final_and_not_repeated(
    transports: Transports, server: MailReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    server.password = "another"
    error = await refused(transports, e_mail(server), caplog)
    assert (error.sentence, error.final) == ("the mail server does not accept user and password (535)", True)


@pytest.mark.parametrize(("answer", "final"), [("451 later", False), ("554 never", True)])
async def test_a_mail_server_says_if_it_may_pass(
    transports: Transports, server: MailReceiver, caplog: pytest.LogCaptureFixture, answer: str, final: bool
) -> None:
    server.refuses = f"{answer} {TOKEN}"
    error = await refused(transports, e_mail(server), caplog)
    assert (error.sentence, error.final) == (f"the mail server answered {answer[:3]}", final)


async def test_a_mail_servers_address_and_certificate_are_checked_too(
    signed: Certificates, server: MailReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    error = await refused(Transports(internal=False, ca_file=signed.authority), e_mail(server), caplog)
    assert "is not public" in error.sentence
    error = await refused(Transports(internal=True, ca_file=None), e_mail(server), caplog)
    assert error.sentence == "the mail server's certificate is not trusted, or TLS failed"
    assert not server.mailed


async def test_without_tls_nothing_is_sent(
    transports: Transports,
    signed: Certificates,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server without STARTTLS, or one in the middle that hides it."""
    with MailReceiver(signed, USER, PASSWORD, implicit=False).serving() as server:
        monkeypatch.setattr("aiosmtplib.SMTP.supports_extension", lambda *_: False)
        error = await refused(transports, e_mail(server), caplog)
        assert error.sentence == "the mail server offers no TLS, or no login"
        assert not server.mailed


async def test_a_mail_server_that_cannot_be_reached_is_tried_again(
    transports: Transports, server: MailReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    for host, sentence in {
        "localhost:1": "cannot be reached",
        "nowhere.invalid": "cannot be resolved",
    }.items():
        message = e_mail(server, smtp_url=f"smtps://{USER}:{TOKEN}@{host}")
        error = await refused(transports, message, caplog)
        assert (sentence in error.sentence, error.final) == (True, False)
