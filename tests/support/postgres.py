"""A PostgreSQL server of the tests' own: started, stopped and killed as they like."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
import psycopg
import pytest

from localcluster import debian, ports
from tests.support.polling import eventually

_SYSTEM_USER: Final = "postgres"
_INSTALLED: Final = Path("/usr/lib/postgresql")
_PASSWORD: Final = "it is/secret@all"
_QUICK: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "shared_buffers=32MB",
    "max_connections=40",
    "autovacuum_naptime=1s",
)


def programs() -> Path:
    """The folder of the server's programs, newest version; as root on Debian it is installed if need be."""
    if not list(_INSTALLED.glob("*/bin/postgres")):
        debian.ensure({"pg_ctlcluster": "postgresql"})
    found = sorted(_INSTALLED.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent


class Postgres:
    """A server on loopback; everybody needs the password. `settings` are in addition to its own defaults."""

    def __init__(self, folder: Path, settings: Sequence[str] = _QUICK) -> None:
        self._settings = settings
        self.port = ports.pick(["postgres"])["postgres"]
        self._folder = folder
        self._programs = programs()
        # It refuses to run as root.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(_SYSTEM_USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make its files."""
        secret = self._folder / "password"
        secret.write_text(_PASSWORD)
        secret.chmod(0o644)
        options = (f"--pgdata={self._folder / 'data'}", "--username=postgres", f"--pwfile={secret}")
        self._run(
            "initdb", *options, "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"
        )

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = [
            *self._settings,
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._folder}",
        ]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *(part for setting in settings for part in ("-c", setting))],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._user,
            )
        eventually(self._answers, what="PostgreSQL to answer")

    @property
    def runs(self) -> bool:
        """Whether it is started."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it at once, with all its connections (fast shutdown)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a machine that loses its power does; its files are recovered at the next start."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Freeze it with all its sessions: connections stay, and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def url(self, database: str = "postgres", password: str = _PASSWORD) -> str:
        """The URL of one of its databases."""
        quoted = password.replace("@", "%40").replace("/", "%2F").replace(" ", "%20")
        return f"postgresql://postgres:{quoted}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str = "template1") -> str:
        """A new database like another one; its name."""
        name = f"test_{uuid4().hex[:10]}"
        self.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
        return name

    def _signal_all(self, number: int) -> None:
        """Each session is a process in a group of its own."""
        if self._process is None or self._process.poll() is not None:
            return
        server = psutil.Process(self._process.pid)
        for one in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"PostgreSQL has ended: {(self._folder / 'log').read_text()[-2_000:]}")
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, **self._user)
        assert ended.returncode == 0, ended.stderr


@contextlib.contextmanager
def a_server(settings: Sequence[str] = _QUICK) -> Iterator[Postgres]:
    """A server that runs; it and its files are gone afterwards."""
    # Not in pytest's folders, which other users cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="nightcrawler-postgres-"))
    folder.chmod(0o755)
    server = Postgres(folder, settings)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.resume()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of a worker, each with databases of its own; who stops it starts it again."""
    with a_server() as made:
        yield made
