"""A steady load on a facade: `python -m tests.support.steadyload URL [--seconds N] [--reads-only]`.

Some clients keep their connection, as proxies do, and some open one for each request, as curl does. The
load is small and bounded: what matters is that requests are always under way. At its end, after the seconds
or at SIGTERM, it prints how many requests were answered well, and what became of each of the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import threading
import time
from typing import Final

import httpx

UNDER_WAY: Final = "under way"
"""The line that it prints when it begins."""
_CLIENTS: Final = 3
"""Of each sort."""
_PAUSE: Final = 0.1
_BETWEEN_WRITES: Final = 10
"""Every so many-th request creates a workflow."""
_AT_MOST_SECONDS: Final = 600.0
_PATIENCE: Final = 10.0


class SteadyLoad:
    """Clients that go on until `over` is set."""

    def __init__(self, url: str, *, writes: bool) -> None:
        self.over = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        self._url = url
        self._writes = writes
        self._lock = threading.Lock()

    def run(self, seconds: float) -> None:
        """Send requests for so long, or until `over` is set."""
        clients = [
            threading.Thread(target=one)
            for one in (self._keep_connection, self._connect_each_time)
            for _ in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        self.over.wait(seconds)
        self.over.set()
        for client in clients:
            client.join()

    def _keep_connection(self) -> None:
        with self._client() as client:
            for number in itertools.count():
                if self.over.wait(_PAUSE):
                    return
                self._request(client, number)

    def _connect_each_time(self) -> None:
        for number in itertools.count():
            if self.over.wait(_PAUSE):
                return
            with self._client() as client:
                self._request(client, number)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, timeout=_PATIENCE, trust_env=False)

    def _request(self, client: httpx.Client, number: int) -> None:
        began = time.time()
        try:
            if self._writes and number % _BETWEEN_WRITES == 0:
                answer = client.post("/api/workflows", json={"name": "Under load"})
            else:
                answer = client.get("/api/workflows?pageSize=5")
            wrong = "" if answer.is_success else f"{answer.status_code}: {answer.text[:200]}"
        except httpx.HTTPError as error:
            wrong = f"{type(error).__name__}: {error}"
        with self._lock:
            if wrong:
                self.failed.append(f"{began:.3f} {wrong}")
            else:
                self.answered += 1


def main() -> None:
    """Run it, and print the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=_AT_MOST_SECONDS)
    parser.add_argument("--reads-only", action="store_true")
    arguments = parser.parse_args()
    load = SteadyLoad(arguments.url, writes=not arguments.reads_only)
    signal.signal(signal.SIGTERM, lambda *_: load.over.set())
    sys.stdout.write(f"{UNDER_WAY}\n")
    sys.stdout.flush()
    load.run(min(arguments.seconds, _AT_MOST_SECONDS))
    json.dump({"answered": load.answered, "failed": load.failed}, sys.stdout)


if __name__ == "__main__":
    main()
