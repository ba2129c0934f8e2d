"""The steady load of the chart's tests: it counts responses, and reports failures."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.support.polling import eventually
from tests.support.steadyload import UNDER_WAY, SteadyLoad

_ROOT = Path(__file__).parents[2]


class _Server(ThreadingHTTPServer):
    """A server that counts its responses by their status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Facade)
        self.responses: Counter[int] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Facade(BaseHTTPRequestHandler):
    """Answers reads, and refuses to create anything."""

    server: _Server

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
        self.server.responses[status] += 1


@contextmanager
def a_facade() -> Iterator[_Server]:
    """A server that runs within the block."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def report_of(url: str, *arguments: str, enough: Callable[[], bool]) -> dict[str, Any]:
    """What it reports when it is ended after there was enough."""
    command = [sys.executable, "-m", "tests.support.steadyload", url, "--seconds=120", *arguments]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        try:
            assert load.stdout.readline() == f"{UNDER_WAY}\n"
            eventually(enough, what="enough requests", within=60)
        finally:
            load.terminate()
        report: dict[str, Any] = json.loads(load.stdout.read())
    assert load.returncode == 0
    return report


def test_a_refused_request_is_reported_with_its_status() -> None:
    with a_facade() as server:
        report = report_of(server.url, enough=lambda: server.responses[200] > 5 < server.responses[503])
    assert report["answered"] > 0
    assert report["failed"]
    assert all(" 503: " in failure for failure in report["failed"])


def test_reads_alone_are_answered() -> None:
    with a_facade() as server:
        report = report_of(server.url, "--reads-only", enough=lambda: server.responses[200] > 20)
    assert report["answered"] > 0
    assert report["failed"] == []


def test_without_a_server_each_request_fails_by_the_name_of_its_error() -> None:
    with a_facade() as server:
        url = server.url
    load = SteadyLoad(url, writes=True)
    clients = threading.Thread(target=load.run, args=(120,))
    clients.start()
    try:
        eventually(lambda: len(load.failed) > 5, what="enough requests", within=60)
    finally:
        load.over.set()
        clients.join()
    assert load.answered == 0
    assert all("ConnectError" in failure for failure in load.failed)
