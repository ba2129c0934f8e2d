"""The identity provider's signing keys: discovered, cached, and fetched again when they change.

A token with an unknown key makes the facade look for new ones, but not more often than every few seconds,
however many such tokens come: each fetch brings all keys that there are.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from nightcrawler_api.errors import IdentityUnavailable

log = logging.getLogger(__name__)

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_RENEW_SECONDS: Final = 300.0
"""So long a key is used on that the identity provider has withdrawn."""
_AGAIN_SECONDS: Final = 10.0
"""The least time between two fetches for unknown keys, and after one that failed."""


class _Failed(Exception):
    """The keys cannot be fetched; the message says why."""


class IssuerKeys:
    """The current keys of an issuer, as JSON Web Keys by their id.

    Attributes:
        version: Grows whenever the keys have changed: what was verified by older ones has to be again.
        fetches: How often keys were fetched or tried to be.
        failure: Why the last fetch failed; empty if it did not.
    """

    def __init__(self, issuer: str, tls: ssl.SSLContext | bool = True) -> None:
        self.version = 0
        self.fetches = 0
        self.failure = ""
        self._issuer = issuer
        self._tls = tls
        self._keys: list[Mapping[str, Any]] = []
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._turn = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End the connections."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def named(self, kid: str | None) -> list[Mapping[str, Any]]:
        """The keys of an id; all if the token names none.

        Raises:
            IdentityUnavailable: There is none, and whether there is a new one cannot be found out now.
        """
        if not self._with(kid):
            await self._look_for(kid)
        found = self._with(kid)
        if not found and self.failure:
            raise IdentityUnavailable(
                f"the keys of the identity provider {self._issuer} cannot be fetched: {self.failure}; "
                "try again later"
            )
        return found

    async def refresh(self) -> None:
        """Fetch keys again that are old: beside the request, or before it if there was none for long.

        To be called for each request, also for tokens that were verified before: without it their keys
        would be accepted for as long as nobody comes with another one.
        """
        now = time.monotonic()
        age = now - self._fetched
        if not self._keys or age <= _RENEW_SECONDS or now - self._tried <= _AGAIN_SECONDS:
            return
        renewing = self._renew()
        if age > 2 * _RENEW_SECONDS and not self.failure:
            await asyncio.shield(renewing)

    def _with(self, kid: str | None) -> list[Mapping[str, Any]]:
        return [key for key in self._keys if kid is None or key.get("kid") == kid]

    async def _look_for(self, kid: str | None) -> None:
        async with self._turn:
            # Others may have fetched while this one waited for its turn.
            if not self._with(kid) and time.monotonic() - self._tried > _AGAIN_SECONDS:
                await self._fetch()

    def _renew(self) -> asyncio.Task[None]:
        """Fetch beside the requests, which go on with the keys that are known."""

        async def renew() -> None:
            async with self._turn:
                await self._fetch()

        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(renew(), name="fetch the identity provider's keys")
        return self._renewing

    async def _fetch(self) -> None:
        self._tried = time.monotonic()
        self.fetches += 1
        try:
            keys = await self._read_keys()
        except _Failed as error:
            self.failure = str(error)
            log.warning("the identity provider's keys cannot be fetched: %s", error)
            return
        self.failure, self._fetched = "", time.monotonic()
        if keys != self._keys:
            self._keys = keys
            self.version += 1
            log.info("the identity provider has %d key(s)", len(keys))

    async def _read_keys(self) -> list[Mapping[str, Any]]:
        document = await self._get(self._issuer.rstrip("/") + _WELL_KNOWN)
        if document.get("issuer") != self._issuer:
            raise _Failed(
                f"its discovery document is of the issuer {document.get('issuer')!r}, not of {self._issuer!r}"
            )
        place = document.get("jwks_uri")
        if not isinstance(place, str) or not is_safe(place, self._issuer):
            raise _Failed(f"its discovery document has the jwks_uri {place!r}, which is not https")
        keys = (await self._get(place)).get("keys")
        if not isinstance(keys, list):
            raise _Failed(f"there are no keys at {place}")
        return [key for key in keys if isinstance(key, Mapping)]

    async def _get(self, url: str) -> Mapping[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT), trust_env=True
            )
        try:
            async with self._session.get(url, allow_redirects=False, ssl=self._tls) as response:
                if response.status != 200:
                    raise _Failed(f"{url} answers {response.status}")
                body = await _at_most(response, _MOST_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = (
                "does not answer in time"
                if isinstance(error, TimeoutError)
                else f"cannot be reached ({error})"
            )
            raise _Failed(f"{url} {why}") from error
        try:
            read = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise _Failed(f"{url} does not answer in JSON") from error
        if not isinstance(read, Mapping):
            raise _Failed(f"{url} does not answer with an object")
        return read


async def _at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, of at most so many bytes."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > most:
            raise _Failed(f"{response.url} answers with more than {most} bytes")
    return bytes(body)


def is_safe(url: str, issuer: str) -> bool:
    """Whether nobody in between can change what is at a URL; http is taken of issuers that use it."""
    return urlsplit(url).scheme in ("https", urlsplit(issuer).scheme)
