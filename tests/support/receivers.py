"""Real receivers of messages, on loopback and with certificates of their own: HTTPS and SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Final, cast

import psutil
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from localcluster import certificates, ports

_HOST: Final = "127.0.0.1"
_LIMIT: Final = 60.0


class Certificates:
    """An authority and what it has signed for loopback."""

    def __init__(self, folder: Path) -> None:
        certificates.write(folder, ["localhost", _HOST])
        self.authority = folder / "ca.crt"
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(folder / "server.crt", folder / "server.key")


async def clients_gone() -> None:
    """Wait until no client of this process is connected to one of its own servers.

    The end of a TLS connection is an exchange with its server: a loop that ends before leaves it open.

    Raises:
        TimeoutError: One stayed connected.
    """
    async with asyncio.timeout(_LIMIT):
        while _connected_to_itself():  # noqa: ASYNC110 - sockets of the kernel have no event
            await asyncio.sleep(0.01)


def _connected_to_itself() -> bool:
    known = psutil.Process().net_connections(kind="tcp")
    served = {one.laddr.port for one in known if one.status == psutil.CONN_LISTEN}
    # A socket without a peer has an empty address.
    return any(port in served for one in known for port in one.raddr[1:])


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)


class WebReceiver:
    """An HTTPS server that takes everything, or answers as a test sets it.

    Attributes:
        answers: The status for a request; 0 never answers.
    """

    def __init__(self, certificates: Certificates) -> None:
        self.posted: list[Posted] = []
        self.answers: Callable[[Posted], int] = lambda _: 204
        self._context = certificates.context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @contextlib.contextmanager
    def serving(self) -> Iterator[WebReceiver]:
        """Serve until the block is left."""
        self._thread.start()
        port = ports.pick(["receiver"])["receiver"]
        self.url = f"https://localhost:{port}"
        runner = self._run(self._start(port))
        try:
            yield self
        finally:
            self._run(self._end(runner))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def to(self, path: str) -> list[Posted]:
        """The requests for a path."""
        return [one for one in self.posted if one.path == path]

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)

    async def _start(self, port: int) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, _HOST, port, ssl_context=self._context).start()
        return runner

    async def _end(self, runner: web.AppRunner) -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _take(self, request: web.Request) -> web.Response:
        posted = Posted(request.path, dict(request.headers), await request.read())
        self.posted.append(posted)
        status = self.answers(posted)
        if status == 0:
            await asyncio.sleep(_LIMIT)
        headers = {"Location": f"{self.url}/elsewhere"} if status in (301, 302, 307, 308) else {}
        return web.Response(status=status, headers=headers, text="" if status == 204 else "no")


@dataclass(frozen=True, slots=True)
class Mailed:
    """An e-mail as it came: by whom, over TLS or not, to whom, and what."""

    user: str
    encrypted: bool
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


class MailReceiver:
    """A mail server that wants TLS and a login.

    Attributes:
        implicit: Whether TLS begins at once; otherwise by STARTTLS.
        refuses: The answer to a message, in place of taking it: `451 later`.
    """

    def __init__(self, certificates: Certificates, user: str, password: str, *, implicit: bool) -> None:
        self.mailed: list[Mailed] = []
        self.password = password
        self.implicit = implicit
        self.refuses = ""
        self._user = user
        self._context = certificates.context

    @contextlib.contextmanager
    def serving(self) -> Iterator[MailReceiver]:
        """Serve until the block is left."""
        port = ports.pick(["mail"])["mail"]
        self.address = f"localhost:{port}"
        tls = {"ssl_context": self._context} if self.implicit else {"tls_context": self._context}
        controller = Controller(
            self,
            hostname=_HOST,
            port=port,
            authenticator=self._check,
            # aiosmtpd does not know that TLS which began at once is TLS; see `handle_DATA`.
            auth_required=not self.implicit,
            auth_require_tls=not self.implicit,
            require_starttls=not self.implicit,
            **cast("Any", tls),
        )
        controller.start()
        try:
            yield self
        finally:
            controller.stop()

    def _check(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        right = (given.login.decode(), given.password.decode()) == (self._user, self.password)
        return AuthResult(success=right, handled=False, auth_data=given.login.decode() if right else None)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a message; aiosmtpd looks for a method of this name."""
        if not session.authenticated:
            return "530 who are you?"
        if self.refuses:
            return self.refuses
        message = message_from_bytes(cast("bytes", envelope.content), policy=default)
        assert isinstance(message, EmailMessage)
        self.mailed.append(
            Mailed(
                user=str(session.auth_data),
                encrypted=self.implicit or session.ssl is not None,
                sender=str(envelope.mail_from),
                recipients=tuple(map(str, envelope.rcpt_tos)),
                message=message,
            )
        )
        return "250 taken"
