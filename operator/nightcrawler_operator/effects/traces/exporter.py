"""Exports traces by OTLP over HTTP, in JSON, which every receiver of that protocol has to take.

So no library is needed that would send from a thread of its own.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

log = logging.getLogger(__name__)

_TIMEOUT: Final = 10.0
_MOST_BYTES: Final = 64 * 1024
_MAY_PASS: Final = frozenset({401, 403, 404, 408, 429})
"""Refusals that somebody may put right."""


class ExportError(Exception):
    """A trace was not taken; the sentence has nothing in it of what was sent.

    `final`: it will not be taken later either.
    """

    def __init__(self, sentence: str, *, final: bool = False) -> None:
        super().__init__(sentence)
        self.final = final


class _Partial(msgspec.Struct, rename="camel"):
    rejected_spans: int = 0
    error_message: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None


class Exporter:
    """Posts to one collector; the session is opened with the first trace.

    `endpoint` is the collector's, to which the protocol's own path is added; `headers` may be secret.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str], ca_file: Path | None) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        self._headers = {"Content-Type": "application/json", **headers}
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def export(self, request: Mapping[str, Any]) -> None:
        """Export one trace; raises `ExportError`."""
        try:
            session = self._open()
            async with session.post(
                self._url, data=msgspec.json.encode(request), headers=self._headers, allow_redirects=False
            ) as answer:
                status, body = answer.status, await answer.content.read(_MOST_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Its text could have the address with user and password in it.
            raise ExportError(f"the collector cannot be reached ({type(error).__name__})") from None
        if status >= 300:
            final = status < 500 and status not in _MAY_PASS
            raise ExportError(f"the collector answered {status}", final=final)
        _report_partial(body)

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls = ssl.create_default_context()
            if self._ca_file is not None:
                tls.load_verify_locations(cafile=self._ca_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


def _report_partial(body: bytes) -> None:
    try:
        partial = msgspec.json.decode(body, type=_Answer, strict=False).partial_success
    except msgspec.DecodeError:
        return  # some answer with nothing, or in another encoding
    if partial is not None and partial.rejected_spans:
        log.warning("the collector did not take %d spans of a trace", partial.rejected_spans)
