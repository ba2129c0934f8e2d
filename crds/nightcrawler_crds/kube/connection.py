"""The session with the API server that every request uses.

It is aiohttp's: the official typed client takes four to eight times the CPU per request.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import Final

import aiohttp

from nightcrawler_crds.errors import ConfigurationError, Unavailable
from nightcrawler_crds.kube.credentials import find_identity, tried
from nightcrawler_crds.kube.identity import Identity

log = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 5.0
"""Until the next try, after the credentials could not be read."""


class Connection:
    """A session with the API server, and its current `Authorization` header.

    Service accounts' tokens rotate and credential plugins' tokens expire, so tokens are read again
    about once a minute.
    """

    def __init__(self, identity: Identity, user_agent: str, *, limit: int = 256) -> None:
        self.identity = identity
        self.server = identity.server
        self._user_agent = user_agent
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None
        self._authorization: str | None = None
        self._missing = ""
        self._refused = False
        self._renew_at = float("-inf")
        self._renewing = asyncio.Lock()

    @classmethod
    async def open(cls, user_agent: str, *, kubeconfig: str | None = None) -> Connection:
        """Connect with the identity in the named kubeconfig, else the Pod's, else the usual kubeconfig's.

        Raises:
            ConfigurationError: There is none, or it cannot be used; the message names what was tried.
        """
        try:
            connection = cls(await find_identity(kubeconfig), user_agent)
            connection._check()
        except Exception as error:  # the official client raises errors of any type
            raise ConfigurationError(
                f"no cluster to connect to: {error} (tried {tried(kubeconfig)}); "
                "name a kubeconfig in NIGHTCRAWLER_KUBECONFIG or KUBECONFIG"
            ) from error
        return connection

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, created on first use inside the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._limit, ssl=self.tls(), keepalive_timeout=60)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": self._user_agent},
                timeout=aiohttp.ClientTimeout(total=None, connect=10),
                auto_decompress=True,
                read_bufsize=1 << 20,
            )
        return self._session

    async def headers(self) -> dict[str, str]:
        """The authorization for the next request.

        Raises:
            Unavailable: The credentials cannot be read, and there are no earlier ones.
        """
        if time.monotonic() >= self._renew_at:
            async with self._renewing:
                if time.monotonic() >= self._renew_at:
                    await self._renew()
        if self._missing:
            raise Unavailable(self._missing)
        return {"Authorization": self._authorization} if self._authorization else {}

    async def _renew(self) -> None:
        try:
            self._authorization = await self.identity.authorization(self._refused)
        except (OSError, ValueError) as error:
            why = f"the credentials for the API server cannot be read: {error}"
            if self._authorization is None:
                self._missing = why
            else:
                log.warning("%s; using the previous ones", why)
            self._renew_at = time.monotonic() + _AGAIN_SECONDS  # also for the requests that wait for this one
        else:
            self._missing, self._refused = "", False
            self._renew_at = time.monotonic() + _RENEW_SECONDS

    def forget_token(self) -> None:
        """Read the token again before the next request: the API server refused this one."""
        self._refused = True
        self._renew_at = float("-inf")

    async def close(self) -> None:
        """Close the session and all its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def tls(self) -> ssl.SSLContext | bool:
        """The value for aiohttp's `ssl`: the authority to trust, and our client certificate."""
        if not self.server.startswith("https"):
            return False
        shown = self.identity
        context = ssl.create_default_context(cafile=shown.authority, cadata=shown.authority_data)
        # Kubernetes' own certificates may lack extensions that RFC 5280 requires.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if shown.certificate:
            context.load_cert_chain(shown.certificate, keyfile=shown.key)
        if not shown.verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _check(self) -> None:
        """Raise at once what would make every request fail."""
        if not self.server.startswith(("https://", "http://")):
            raise ValueError(f"its server {self.server!r} is not an HTTP address")
        self.tls()
