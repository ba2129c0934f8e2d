"""Where the API server is and who we are to it: a kubeconfig, or the Pod's own identity.

The configuration is read by the official client, which knows every form of kubeconfig;
the requests themselves go through one aiohttp session, because the typed client costs
four to eight times the CPU per request.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from pathlib import Path
from typing import Final

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.config_exception import ConfigException

from nightcrawler_crds.errors import ConfigurationError, Unavailable

_SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_REFRESH_SECONDS: Final = 60.0


class Connection:
    """A session with the API server, and headers that are always current.

    Tokens of service accounts rotate and credential plugins' tokens expire, so they are
    read anew about once a minute.
    """

    def __init__(self, configuration: Configuration, user_agent: str, *, limit: int = 256) -> None:
        self.configuration = configuration
        self.server = str(configuration.host).rstrip("/")
        self._user_agent = user_agent
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._token_at = float("-inf")
        self._refreshing = asyncio.Lock()

    @classmethod
    async def open(cls, user_agent: str, *, kubeconfig: str | None = None) -> Connection:
        """Read the configuration: the named kubeconfig, else the Pod's identity, else the usual kubeconfig.

        Raises:
            ConfigurationError: There is none, or it cannot be used; says which was tried.
        """
        configuration = Configuration()
        try:
            if kubeconfig:
                await kube_config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
            elif _SERVICE_ACCOUNT_TOKEN.exists() and os.environ.get("KUBERNETES_SERVICE_HOST"):
                kube_config.load_incluster_config(client_configuration=configuration)
            else:
                await kube_config.load_kube_config(client_configuration=configuration)
            connection = cls(configuration, user_agent)
            connection._check()
        except Exception as error:  # the client raises anything of a file that is no kubeconfig
            tried = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config, and no Pod's identity"
            raise ConfigurationError(
                f"no cluster to talk to: {error} (tried {tried}); "
                "name a kubeconfig in NIGHTCRAWLER_KUBECONFIG or KUBECONFIG"
            ) from error
        return connection

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one session, made on first use inside the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._limit, ssl=self._ssl(), keepalive_timeout=60)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": self._user_agent},
                timeout=aiohttp.ClientTimeout(total=None, connect=10),
                auto_decompress=True,
                read_bufsize=1 << 20,
            )
        return self._session

    async def headers(self) -> dict[str, str]:
        """The authorization for the next request."""
        if time.monotonic() - self._token_at > _REFRESH_SECONDS:
            async with self._refreshing:
                if time.monotonic() - self._token_at > _REFRESH_SECONDS:
                    try:
                        self._token = await self._current_token()
                    except (ConfigException, OSError, ValueError, KeyError) as error:
                        raise Unavailable(
                            f"the credentials for the API server cannot be had: {error}"
                        ) from error
                    self._token_at = time.monotonic()
        return {"Authorization": self._token} if self._token else {}

    def forget_token(self) -> None:
        """Read the token anew for the next request: the API server did not accept the last one."""
        self._token_at = float("-inf")

    async def close(self) -> None:
        """Close the session and all its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _check(self) -> None:
        """Refuse at once what every request would fail by."""
        if not self.server.startswith(("https://", "http://")):
            raise ValueError(f"its server {self.server!r} is no address for HTTP")
        self._ssl()

    async def _current_token(self) -> str | None:
        token = await self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return _bearer(str(token)) if token else None

    def _ssl(self) -> ssl.SSLContext | bool:
        configuration = self.configuration
        if not self.server.startswith("https"):
            return False
        context = ssl.create_default_context(
            cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data
        )
        # As the official client does: Kubernetes' own certificates may lack what RFC 5280 wants.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        if not configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _bearer(value: str) -> str:
    # The in-cluster loader writes "bearer", which a strict proxy before the API server may refuse.
    return f"Bearer {value[7:]}" if value.lower().startswith("bearer ") else value
