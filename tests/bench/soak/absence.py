"""A log store and a mail server that are away: they take connections, and never answer."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.around import with_logs
from tests.bench.engines import NAMESPACE, Settings

GIVEN_UP: Final = "DutyOverdue: not done"
"""How the operator's log says that something was not done for a run in time."""

EXPECTED: Final = "the log store cannot be used"
"""What the facade's log may say of a log store that is away."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What a site is started with; all empty where nothing is away.

    Attributes:
        operator: Settings of the operator, which is to send messages and to wait for kept logs.
        facade: Settings of the facade, which is to keep logs.
        arguments: Arguments of components, with which simulated Pods have logs.
    """

    operator: Settings = field(default_factory=dict)
    facade: Settings = field(default_factory=dict)
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)


@asynccontextmanager
async def absence(*, away: bool, duty_timeout: float) -> AsyncIterator[Absence]:
    """With both away, if they are to be; what runs owe is given up after so many seconds."""
    if not away:
        yield Absence()
        return
    with tempfile.TemporaryDirectory(prefix="nightcrawler-absence-") as name:
        folder = Path(name)
        async with silent() as mail, silent() as store:
            with a_bucket_at(f"http://127.0.0.1:{store}"):
                yield Absence(
                    operator={
                        "keep": "logs",
                        "namespace": NAMESPACE,
                        "notifications_folder": _targets(folder / "targets", mail),
                        "notifications_allow_internal": "true",
                        "duty_timeout": f"{duty_timeout:g}s",
                    },
                    facade={"keep": "logs", "log_url": "s3://nobody/answers"},
                    arguments=with_logs(folder),
                )


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A server on loopback that reads what it is sent and never says a word; its port."""
    connected: set[asyncio.StreamWriter] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.add(writer)
        with suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        connected.discard(writer)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connected:
            writer.transport.abort()
        await server.wait_closed()


@contextmanager
def a_bucket_at(url: str) -> Iterator[None]:
    """Let programs that are started look for buckets there."""
    variables = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def times_given_up(log: Path) -> int:
    """For how many runs the operator's log says that something was not done."""
    with log.open(errors="replace") as lines:
        return sum(GIVEN_UP in line for line in lines)


def _targets(folder: Path, port: int) -> Path:
    folder.mkdir()
    targets = {
        "smtp-url": f"smtp://nobody:nothing@127.0.0.1:{port}",
        "email-from": "nightcrawler@example.com",
        "email-to": "ops@example.com",
    }
    for key, value in targets.items():
        (folder / key).write_text(value)
    return folder
