"""Messages by e-mail, over TLS alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from nightcrawler_crds.clock import utcnow
from nightcrawler_operator.decisions.notifications.messages import mail
from nightcrawler_operator.decisions.notifications.targets import MailTarget
from nightcrawler_operator.effects.notifications.addresses import NotPublicError, lookup, not_public
from nightcrawler_operator.effects.notifications.delivery import TIMEOUT, DeliveryError, Message

_ALL: Final = 3 * TIMEOUT
"""Seconds for a whole conversation; each answer has `TIMEOUT`."""
_TRANSIENT: Final = range(400, 500)


class MailServers:
    """Sends each e-mail by a connection of its own."""

    def __init__(self, tls: ssl.SSLContext, *, internal: bool) -> None:
        self._tls = tls
        self._internal = internal

    async def send(self, message: Message) -> None:
        """Deliver a message once; raises `DeliveryError`."""
        target = message.target
        assert isinstance(target, MailTarget)
        try:
            async with asyncio.timeout(_ALL):
                await self._send(target, message)
        except Exception as error:  # noqa: BLE001 - whatever it is: its text may have what a server repeats
            raise _translated(error) from None

    async def _send(self, target: MailTarget, message: Message) -> None:
        connection = await self._connect(target)
        client = aiosmtplib.SMTP(
            hostname=target.host,
            sock=connection,
            use_tls=target.implicit_tls,
            start_tls=not target.implicit_tls,  # required, not only tried
            tls_context=self._tls,
            username=target.user or None,
            password=target.password or None,
            timeout=TIMEOUT,
        )
        try:
            await client.connect()
            await client.send_message(
                compose(message, target), sender=target.sender, recipients=list(message.recipients)
            )
            with contextlib.suppress(aiosmtplib.SMTPException):
                await client.quit()  # it has the message already
        finally:
            client.close()  # and with it the connection, also one that could not be made

    async def _connect(self, target: MailTarget) -> socket.socket:
        """A connection to the first of the server's checked addresses that answers."""
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for one in await lookup(target.host, target.port, internal=self._internal):
            connection = socket.socket(one["family"], socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(TIMEOUT):
                    await loop.sock_connect(connection, (one["host"], one["port"]))
            except OSError as error:  # TimeoutError is one
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure or OSError("no address")


def compose(message: Message, target: MailTarget) -> EmailMessage:
    """The e-mail: as text, and the same as HTML."""
    facts, said = message.facts, mail(message.facts)
    composed = EmailMessage(policy=SMTP)
    composed["From"] = target.sender
    composed["To"] = ", ".join(message.recipients)
    composed["Subject"] = said.subject
    composed["Date"] = format_datetime(utcnow())
    # The same for each repetition: mailboxes show one of them.
    composed["Message-ID"] = f"<{facts.id}@{target.sender.rpartition('@')[2]}>"
    composed["Auto-Submitted"] = "auto-generated"
    composed.set_content(said.text)
    composed.add_alternative(said.html, subtype="html")
    return composed


def _translated(error: Exception) -> DeliveryError:
    """An error without what the server said: that may repeat what it was sent."""
    match error:
        case NotPublicError():
            return not_public(error.address)
        case aiosmtplib.SMTPAuthenticationError():
            return DeliveryError(
                f"the mail server does not accept user and password ({error.code})", final=True
            )
        case aiosmtplib.SMTPRecipientsRefused():
            final = all(one.code not in _TRANSIENT for one in error.recipients)
            return DeliveryError("the mail server refuses all recipients", final=final)
        case aiosmtplib.SMTPResponseException():
            return DeliveryError(f"the mail server answered {error.code}", final=error.code not in _TRANSIENT)
        case _:
            kinds = (error, error.__cause__)
            found = (why for kind, why in _FAILURES if any(isinstance(one, kind) for one in kinds))
            unknown = f"the mail server cannot be talked to ({type(error).__name__})"
            return DeliveryError(next(found, unknown))


_FAILURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (ssl.SSLError, "the mail server's certificate is not trusted, or TLS failed"),
    (TimeoutError, f"the mail server did not answer within {TIMEOUT:g} seconds"),
    (socket.gaierror, "the mail server's name cannot be resolved"),
    (aiosmtplib.SMTPServerDisconnected, "the connection to the mail server broke"),
    (OSError, "the mail server cannot be reached"),
    (aiosmtplib.SMTPException, "the mail server offers no TLS, or no login"),
)
"""The first that fits."""
