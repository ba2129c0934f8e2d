"""The session with the API server that every request goes through.

It is aiohttp's, because the official typed client costs four to eight times the CPU a request.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import Final

import aiohttp

from nightcrawler_crds.errors import ConfigurationError, Unavailable
from nightcrawler_crds.kube.identity import Identity, find, looked_at

log = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 5.0
"""After the credentials could not be had."""


class Connection:
    """A session with the API server, and headers that are always current.

    Tokens of service accounts rotate and credential plugins' tokens expire, so they are
    read anew about once a minute.
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
        """With the identity in the named kubeconfig, else the Pod's, else that of the usual kubeconfig.

        Raises:
            ConfigurationError: There is none, or it cannot be used; says which was tried.
        """
        try:
            connection = cls(await find(kubeconfig), user_agent)
            connection._check()
        except Exception as error:  # the client raises anything of a file that is no kubeconfig
            raise ConfigurationError(
                f"no cluster to talk to: {error} (tried {looked_at(kubeconfig)}); "
                "name a kubeconfig in NIGHTCRAWLER_KUBECONFIG or KUBECONFIG"
            ) from error
        return connection

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one session, made on first use inside the running loop."""
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
            Unavailable: There is none, and none can be had.
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
            why = f"the credentials for the API server cannot be had: {error}"
            if self._authorization is None:
                self._missing = why
            else:
                log.warning("%s; going on with those of before", why)
            self._renew_at = time.monotonic() + _AGAIN_SECONDS  # for all who wait, too
        else:
            self._missing, self._refused = "", False
            self._renew_at = time.monotonic() + _RENEW_SECONDS

    def forget_token(self) -> None:
        """Ask for the token anew for the next request: the API server did not accept the last one."""
        self._refused = True
        self._renew_at = float("-inf")

    async def close(self) -> None:
        """Close the session and all its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def tls(self) -> ssl.SSLContext | bool:
        """What aiohttp is to be given as `ssl`: whom we trust, and who we are by certificate."""
        if not self.server.startswith("https"):
            return False
        shown = self.identity
        context = ssl.create_default_context(cafile=shown.authority, cadata=shown.authority_data)
        # Kubernetes' own certificates may lack what RFC 5280 wants.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if shown.certificate:
            context.load_cert_chain(shown.certificate, keyfile=shown.key)
        if not shown.verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _check(self) -> None:
        """Refuse at once what every request would fail by."""
        if not self.server.startswith(("https://", "http://")):
            raise ValueError(f"its server {self.server!r} is no address for HTTP")
        self.tls()
