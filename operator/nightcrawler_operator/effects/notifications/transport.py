"""Which transport takes the messages of which channel."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from nightcrawler_operator.decisions.notifications.targets import MailTarget
from nightcrawler_operator.effects.notifications.delivery import DeliveryError, Message
from nightcrawler_operator.effects.notifications.web import Web

if TYPE_CHECKING:
    from nightcrawler_operator.effects.notifications.mail import MailServers


class Transports:
    """Opens each when its first message is sent; `ca_file` has certificates to trust besides the system's."""

    def __init__(self, *, internal: bool, ca_file: Path | None) -> None:
        self._internal = internal
        self._ca_file = ca_file
        self._web: Web | None = None
        self._mail: MailServers | None = None

    async def send(self, message: Message) -> None:
        """Deliver a message once; raises `DeliveryError`."""
        if isinstance(message.target, MailTarget):
            await self._by_mail().send(message)
        else:
            await self._by_web().send(message)

    async def close(self) -> None:
        """Close what is open."""
        if self._web is not None:
            await self._web.close()

    def _by_web(self) -> Web:
        if self._web is None:
            self._web = Web(self._tls(), internal=self._internal)
        return self._web

    def _by_mail(self) -> MailServers:
        if self._mail is None:
            # Only where e-mails are sent: it costs memory.
            from nightcrawler_operator.effects.notifications.mail import MailServers  # noqa: PLC0415

            self._mail = MailServers(self._tls(), internal=self._internal)
        return self._mail

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            try:
                context.load_verify_locations(cafile=self._ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise DeliveryError(
                    f"the installation's file of certificates cannot be read ({type(error).__name__}): "
                    "NIGHTCRAWLER_NOTIFICATIONS_CA_FILE names it"
                ) from None
        return context
