"""Where Kopf lives: startup, cleanup, login, and watch events of our kinds.

Kopf only reads here. Its handlers for creation, update, resumption and timers patch objects by
themselves, whoever leads, so there are none; `on.event` applies the event to a cache, and the queue does
the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import aiohttp
from typing_extensions import override

from nightcrawler_crds import clock, errors, names, phases
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.names import Resource
from nightcrawler_operator.kopf_alone import kopf
from nightcrawler_operator.service import Operator

_LOGIN_FOR: Final = timedelta(minutes=30)
_LOGIN_AGAIN: Final = 5.0


class NoDiff(kopf.DiffBaseStorage):
    """Stores and computes no diffs, as Kopf otherwise does for every event."""

    @override
    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing."""
        return kopf.BodyEssence()

    @override
    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing."""
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing."""


class NoProgress(kopf.ProgressStorage):
    """Stores no progress: no handler here has any."""

    @override
    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        """Nothing."""

    @override
    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing."""

    @override
    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing."""

    @override
    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Nothing."""

    @override
    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """As it is."""
        return essence


class _ForEver:
    """Endless back-offs: an API server that is unreachable for an hour is no reason to exit."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.1, 0.5, 1.0, 2.0)
        while True:
            yield 5.0


def configure(settings: kopf.OperatorSettings) -> None:
    """Make Kopf a reader: no events posted, no peering, nothing stored, only live executions."""
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = NoDiff()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.watching.field_selectors[names.GROUP, names.VERSION, names.EXECUTIONS.plural] = (
        phases.LIVE_SELECTOR
    )
    settings.queueing.idle_timeout = 1.0
    settings.networking.error_backoffs = _ForEver()
    settings.networking.request_timeout = 15
    settings.process.ultimate_exiting_timeout = 10
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)


def registry(operator: Operator) -> kopf.OperatorRegistry:
    """Kopf's handlers for this operator; nothing global, so several can live in one process."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        operator.start()

    @kopf.on.cleanup(registry=handlers)
    async def cleanup(**_: Any) -> None:
        await operator.stop()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return await credentials(operator.connection)

    for resource in names.OURS:
        _watch(handlers, operator, resource)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, operator: Operator, resource: Resource) -> None:
    @kopf.on.event(
        resource.group, resource.version, resource.plural, registry=handlers, id=f"watch-{resource.plural}"
    )
    async def apply_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.apply_event(resource, event["type"], dict(event["object"]))


async def credentials(connection: Connection) -> kopf.AiohttpSession:
    """A session for Kopf with our credentials; Kopf closes it.

    They expire, and so differ each time: Kopf exits after a single 401 if a login returns the
    credentials that it has already.
    """
    connection.forget_token()  # Kopf asks again if it was refused, too
    try:
        headers = await connection.headers()
    except errors.ApiError as error:
        raise kopf.TemporaryError(str(error), delay=_LOGIN_AGAIN) from error
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.tls()),  # a watch keeps its connection
        headers=headers,
    )
    return kopf.AiohttpSession(
        server=connection.server, aiohttp_session=session, expiration=clock.utcnow() + _LOGIN_FOR
    )
