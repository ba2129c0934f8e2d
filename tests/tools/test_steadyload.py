"""The steady load of the chart's tests: it counts responses, and reports failures."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.support.steadyload import UNDER_WAY

_ROOT = Path(__file__).parents[2]


class _Facade(BaseHTTPRequestHandler):
    """Answers reads, and refuses to create anything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(503)

    @override
    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@contextmanager
def a_facade() -> Iterator[str]:
    """The address of a server that runs within the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Facade) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def report_of(url: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.steadyload", url, "--seconds=3", *arguments]
    ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    first, report = ended.stdout.splitlines()
    assert first == UNDER_WAY
    read: dict[str, Any] = json.loads(report)
    return read


def test_a_refused_request_is_reported_with_its_status() -> None:
    with a_facade() as url:
        report = report_of(url)
    assert report["answered"] > 0
    assert report["failed"]
    assert all(" 503: " in failure for failure in report["failed"])


def test_reads_alone_are_answered() -> None:
    with a_facade() as url:
        report = report_of(url, "--reads-only")
    assert report["answered"] > 0
    assert report["failed"] == []


def test_without_a_server_each_request_fails_by_the_name_of_its_error() -> None:
    with a_facade() as url:
        pass
    report = report_of(url)
    assert report["answered"] == 0
    assert all("ConnectError" in failure for failure in report["failed"])
