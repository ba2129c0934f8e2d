"""Liveness, readiness and metrics over HTTP.

`/healthz` fails only if a restart would help: a background task has stopped, or an informer receives
nothing from an API server that is reachable. Load, or an unreachable API server, is no reason for a
restart. `/readyz` is the same for a leader and a standby.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from nightcrawler_crds import errors
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.variables import variable
from nightcrawler_operator.service import Operator

_SILENCE: Final = 300.0
"""An informer that received nothing for so long is stale: bookmarks come once a minute."""
_PATIENCE: Final = 0.5
"""Timeout for the API server when a probe calls it; the kubelet waits a second for the probe."""

Problems = list[str]


@dataclass(frozen=True, slots=True)
class Checks:
    """What the probes call; an empty list of problems means success."""

    health: Callable[[], Awaitable[Problems]]
    readiness: Callable[[], Problems]
    facts: Callable[[], dict[str, Any]]
    """Shown with the readiness, for people."""
    registry: CollectorRegistry


@asynccontextmanager
async def listen(host: str, port: int, checks: Checks) -> AsyncGenerator[int, None]:
    """Serve probes while the block runs; yields the port, a free one if it was 0.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(await checks.health(), {})

    async def readyz(_: web.Request) -> web.Response:
        return _answer(checks.readiness(), checks.facts())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(checks.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port} for probes: {error.strerror or error}; "
                f"set {variable('probe_host')} and {variable('probe_port')} to an address that is free"
            ) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(problems: Problems, facts: dict[str, Any]) -> web.Response:
    body = {"ok": not problems, **facts, **({"problems": problems} if problems else {})}
    return web.Response(
        text=json.dumps(body) + "\n", content_type="application/json", status=503 if problems else 200
    )


def serve(operator: Operator) -> AbstractAsyncContextManager[int]:
    """Serve an operator's probes at the address in its settings, while the block runs."""
    settings = operator.settings
    return listen(settings.probe_host, settings.probe_port, checks_of(operator))


def checks_of(operator: Operator) -> Checks:
    """The checks of an operator."""
    informers = operator.cluster.informers

    async def health() -> Problems:
        problems = [f"the {part} ended by itself" for part in operator.dead]
        now = time.monotonic()
        stale = [i.resource.plural for i in informers if now - i.last_contact > _SILENCE]
        if stale and await _is_reachable(operator):
            problems.append(f"nothing received about {', '.join(stale)} for {_SILENCE:g} s")
        return problems

    def readiness() -> Problems:
        if operator.synced.is_set():
            return []
        if operator.problem:
            return [operator.problem]
        unlisted = [i.resource.plural for i in informers if not i.synced.is_set()]
        return [f"not listed yet: {', '.join(unlisted) or 'our own kinds'}"]

    def facts() -> dict[str, Any]:
        return {"leader": operator.election.is_leader}

    return Checks(health, readiness, facts, operator.telemetry.registry)


async def _is_reachable(operator: Operator) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            await operator.store.reachable()
    except (errors.ApiError, TimeoutError):
        return False
    return True
