"""A real browser, Chromium without a window, and pages for it to show."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from typing_extensions import override

from localcluster import LocalCluster, debian, processes

_PROGRAMS: Final = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")
_PACKAGE: Final = "chromium-headless-shell"
_ENDS_WITHIN: Final = 10.0


def program() -> str:
    """The browser to run; as root on Debian it is installed if there is none."""
    if found := next(filter(None, map(shutil.which, _PROGRAMS)), None):
        return found
    debian.ensure({_PACKAGE: _PACKAGE})
    return _PACKAGE


@contextlib.contextmanager
def showing(url: str, cluster: LocalCluster, folder: Path) -> Iterator[None]:
    """A browser that shows a page, ended when the block is left."""
    options = [
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-proxy-server",
        f"--user-data-dir={folder / 'browser'}",
        "--remote-debugging-port=0",  # without one it would end once the page is loaded
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    log = folder / "browser.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [program(), *options, url],
            # By the mark it ends with the cluster, even if the tests are killed.
            env={**os.environ, processes.MARK: str(cluster.folder)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
        assert process.poll() is None, f"the browser ended by itself:\n{log.read_text(errors='replace')}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_ENDS_WITHIN)
        print(f"--- browser\n{log.read_text(errors='replace')[-4_000:]}")  # noqa: T201 - pytest shows it if a test fails


class Pages:
    """A web server of its own, so of another origin than the facade; what pages POST to it is their report.

    Attributes:
        origin: Its URL.
        reports: The last report of each page, by the path that it was sent to.
    """

    def __init__(self, pages: Mapping[str, str]) -> None:
        """Serve these pages (HTML or JavaScript) by their paths."""
        reports: dict[str, Any] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                self.send_response(200 if page is not None else 404)
                script = self.path.endswith(".js")
                self.send_header("Content-Type", "text/javascript" if script else "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write((page or "").encode())

            def do_POST(self) -> None:
                reports[self.path] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.reports = reports
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="pages")
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
