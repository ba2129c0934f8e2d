"""An S3 server of the tests' own, which checks signatures."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import pytest

from localcluster import binaries, ports
from tests.support.polling import eventually

ACCESS_KEY: Final = "tests"
SECRET_KEY: Final = "a secret of tests"
REGION: Final = "us-east-1"


class S3Server:
    """A server whose buckets are folders."""

    def __init__(self, folder: Path) -> None:
        self.port = ports.pick(["s3"])["s3"]
        self._buckets = folder / "buckets"
        self._buckets.mkdir()
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """How a process finds it and proves who it is."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def new_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"test-{uuid4().hex[:10]}"
        (self._buckets / name).mkdir()
        return name

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            str(binaries.s3_server()),
            f"--access={ACCESS_KEY}",
            f"--secret={SECRET_KEY}",
            f"--region={REGION}",
            f"--port=127.0.0.1:{self.port}",
            "--quiet",
            "posix",
            str(self._buckets),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        eventually(self._answers, what="the S3 server to answer")

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            pytest.fail(f"the S3 server has ended: {self._log.read_text()[-2_000:]}")
        try:
            # Anonymous callers are refused, by a server that is there.
            refused = httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False).status_code
        except httpx.TransportError:
            return False
        return refused == httpx.codes.FORBIDDEN


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server for all tests of a worker, each with a bucket of its own; who stops it starts it again."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    with contextlib.ExitStack() as ends:
        ends.callback(server.stop)
        server.start()
        yield server
