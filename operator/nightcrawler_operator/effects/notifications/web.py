"""Messages by HTTP: signed CloudEvents to webhooks, and messages to Slack."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.connector import AddrInfoType

from nightcrawler_crds.clock import utcnow
from nightcrawler_operator.decisions.notifications.messages import CLOUD_EVENT, cloud_event, slack_message
from nightcrawler_operator.decisions.notifications.targets import WebTarget
from nightcrawler_operator.effects.notifications.addresses import (
    CheckedResolver,
    NotPublicError,
    is_public,
    not_public,
)
from nightcrawler_operator.effects.notifications.delivery import TIMEOUT, DeliveryError, Message

_AGENT: Final = "nightcrawler"
_AGAIN: Final = frozenset({408, 429})
_GONE: Final = 410


class Web:
    """Posts messages over HTTPS: no redirects, no proxies, no cookies, one attempt."""

    def __init__(self, tls: ssl.SSLContext, *, internal: bool) -> None:
        self._tls = tls
        self._internal = internal
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> None:
        """Deliver a message once; raises `DeliveryError`."""
        target = message.target
        assert isinstance(target, WebTarget)
        if message.channel == "slack":
            body = msgspec.json.encode(slack_message(message.facts))
            headers = {"Content-Type": "application/json; charset=utf-8"}
        else:
            body = msgspec.json.encode(cloud_event(message.facts))
            headers = {
                "Content-Type": CLOUD_EVENT,
                **signature(target.secret, message.facts.id, body, utcnow()),
            }
        self._check(target.url)
        await self._post(target.url, body, headers)

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    def _check(self, url: str) -> None:
        """Refuse an address in place of a name, if it is not public.

        aiohttp resolves no host of digits only, and the system takes 2130706433 and 127.1 for 127.0.0.1.
        """
        host = urlsplit(url).hostname or ""
        is_address = ":" in host or host.replace(".", "").isdigit()
        if is_address and not self._internal and not is_public(host):
            raise not_public(host)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        session = self._open()
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                # The body is not read: it could have anything in it, and is of any length.
                status, wish = answer.status, answer.headers.get("Retry-After")
        except Exception as error:  # noqa: BLE001 - whatever it is: its text may have the URL, a secret, in it
            raise _translated(error) from None
        if status >= 300:
            raise _refused(status, wish)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                resolver=CheckedResolver(internal=self._internal),
                socket_factory=self._socket,
                use_dns_cache=False,
                force_close=True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                headers={"User-Agent": _AGENT},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _socket(self, info: AddrInfoType) -> socket.socket:
        """The socket for an address that is connected to; checked once more, whichever way it came."""
        family, kind, protocol, _, place = info
        if not self._internal and not is_public(str(place[0])):
            raise NotPublicError(str(place[0]))
        return socket.socket(family=family, type=kind, proto=protocol)


def signature(secret: str, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks: id, timestamp, and a signature of both with the body."""
    from standardwebhooks import Webhook  # noqa: PLC0415 - only where webhooks are used

    stamp = now.replace(microsecond=0)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(stamp.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, stamp, body.decode()),
    }


def _refused(status: int, wish: str | None) -> DeliveryError:
    if status < 400:
        return DeliveryError(f"the receiver answered {status}: redirects are not followed", final=True)
    if status == _GONE:
        return DeliveryError("the receiver answered 410: it is gone", final=True)
    seconds = float(wish) if wish is not None and wish.isascii() and wish.isdecimal() else None
    final = status < 500 and status not in _AGAIN
    return DeliveryError(f"the receiver answered {status}", final=final, retry_after=seconds)


def _translated(error: Exception) -> DeliveryError:
    """An error without the URL, which its own text may have."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for one in causes:
        if isinstance(one, NotPublicError):
            return not_public(one.address)
    match error:
        case TimeoutError():
            return DeliveryError(f"the receiver did not answer within {TIMEOUT:g} seconds")
        case aiohttp.ClientConnectorDNSError():
            return DeliveryError("the receiver's name cannot be resolved")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return DeliveryError("the receiver's certificate is not trusted, or TLS failed")
        case aiohttp.ClientConnectorError():
            return DeliveryError("the receiver cannot be reached")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | aiohttp.ClientPayloadError():
            return DeliveryError("the connection to the receiver broke")
        case aiohttp.InvalidURL():
            return DeliveryError("the receiver's URL cannot be used", final=True)
        case _:
            return DeliveryError(f"the receiver cannot be talked to ({type(error).__name__})")
