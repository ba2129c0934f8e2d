"""Start the facade: settings, log, connection, server."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import sys
from importlib.metadata import version

import uvicorn

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.audit.recorder import open_lines
from nightcrawler_api.dependencies import Facade
from nightcrawler_api.http.draining import DrainingServer
from nightcrawler_api.http.protocol import HttpProtocol
from nightcrawler_api.requestids import NamesRequest
from nightcrawler_api.settings import Settings, load
from nightcrawler_crds import logformat, runtime
from nightcrawler_crds.commandline import read_arguments
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.variables import variable

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10
_MIGRATE = "make the tables of the archive's database, or bring them up to date"


def main() -> None:
    """Serve until stopped by a signal, or migrate the archive; the console script `nightcrawler-api`.

    Raises:
        SystemExit: With 2 and a sentence, if its settings or arguments are invalid; with 1, if the archive
            cannot be migrated.
    """
    command = read_arguments(
        "nightcrawler-api", "The REST API of Nightcrawler.", Settings, commands={"migrate": _MIGRATE}
    )
    try:
        settings = load()
        _log_as(settings)
        if command == "migrate":
            _migrate(settings)
            return
        runtime.read_deep_json()
        runtime.keep_tls_buffers_small()
        with _listen(settings) as listening:
            asyncio.run(_serve(settings, listening))
    except ConfigurationError as error:
        print(f"nightcrawler-api: {error}", file=sys.stderr)  # noqa: T201 - there may be no log yet
        sys.exit(2)


def _migrate(settings: Settings) -> None:
    """Make or upgrade the archive's tables, and say what was done."""
    if settings.archive_url is None:
        raise ConfigurationError(f"{variable('archive_url')} does not say which database to migrate")
    # Alembic takes 21 MB, which a facade that serves shall not cost.
    from nightcrawler_api.archive.migrate import MigrationError, migrate  # noqa: PLC0415

    try:
        log.info("%s", migrate(settings.archive_url.get_secret_value()))
    except MigrationError as error:
        print(f"nightcrawler-api: {error}", file=sys.stderr)  # noqa: T201 - the last words of a command
        sys.exit(1)


def _listen(settings: Settings) -> socket.socket:
    """A socket listening at the configured host and port."""
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Accepted connections inherit it. asyncio sets it only on sockets created with an explicit protocol:
        # without it, a response's body waits until its headers are acknowledged, up to 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # socket repeats the address in brackets
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {reason}; choose another port by {variable('api_port')}, "
            f"or another address by {variable('api_host')}"
        ) from error


async def _serve(settings: Settings, listening: socket.socket) -> None:
    kubeconfig = str(settings.kubeconfig) if settings.kubeconfig else None
    connection = await Connection.open(f"nightcrawler-api/{version('nightcrawler')}", kubeconfig=kubeconfig)
    try:
        app = create_app(settings, Store(connection))
        config = uvicorn.Config(
            in_front(app),
            http=HttpProtocol,
            h11_max_incomplete_event_size=settings.max_head_bytes,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=math.ceil(settings.keep_alive),
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        log.info("serving namespace %s of %s at http://%s", settings.namespace, connection.server, address)
        settling = asyncio.create_task(_settle(app.state.facade))
        _outlive_signals()
        server = DrainingServer(config, settings.drain_timeout, app.state.facade.streams.close)
        await server.serve(sockets=[listening])
        settling.cancel()
    finally:
        await connection.close()


async def _settle(facade: Facade) -> None:
    """Exclude the cached objects from garbage collection, whose pauses would dominate the p99."""
    await facade.cluster.wait_for_sync()
    gc.collect()
    gc.freeze()
    runtime.collect_seldom()


def _outlive_signals() -> None:
    """Ignore signals from now on: uvicorn stops at one, and then raises it again."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def _log_as(settings: Settings) -> None:
    handler = logformat.handler(settings.log_format)
    handler.addFilter(NamesRequest())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    open_lines()
    logging.captureWarnings(capture=True)
    # asyncio's debug messages are of no use to operators of a facade.
    logging.getLogger("asyncio").setLevel(max(logging.getLogger().level, logging.INFO))


if __name__ == "__main__":
    main()
