"""The event stream on a real facade: clients that disconnect, are slow or stay too long miss nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from localcluster import LocalCluster
from tests.support.facade import Json, Served, serving
from tests.support.polling import eventually
from tests.support.sse import Event, EventSource

STEP: Json = {"name": "a", "image": "busybox:1"}
EVENTS = "/api/events"
CROWD = 500
"""Clients at the same time."""


class Listener:
    """A client in a thread that keeps the state it has received; it disconnects whenever `breaks` is true."""

    def __init__(self, served: Served, breaks: Callable[[], bool] = lambda: False, **query: str) -> None:
        self.events: list[Event] = []
        self.ended = threading.Event()
        self._breaks = breaks
        self._stop = threading.Event()
        self._http = httpx.Client(base_url=served.http.base_url, timeout=30, trust_env=False)
        self._source = EventSource(self._http, EVENTS, **query)
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self.events, what="the first event")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.close()
        self._thread.join(30)

    def names(self, id_: str) -> list[str]:
        """The names of the events about an object."""
        return [event.name for event in self.events if event.data.get("id") == id_]

    def _listen(self) -> None:
        # Closing the client ends a read in another thread with one error or another.
        with contextlib.suppress(httpx.HTTPError, RuntimeError, OSError):
            while not self._stop.is_set():
                for event in self._source.events():
                    self.events.append(event)
                    if self._stop.is_set() or self._breaks():
                        break
                else:
                    break
        self.ended.set()


def test_changes_arrive_as_rows_of_the_lists_and_deletions_by_their_ids(served: Served) -> None:
    with Listener(served) as listener:
        assert listener.events[0].name == "resync"
        workflow = served.create(name="Followed", steps=[STEP])
        eventually(lambda: "workflow" in listener.names(workflow), what="the new workflow")
        run = served.execute(workflow)
        eventually(lambda: "execution" in listener.names(run), what="the new run")
        served.report(run, phase="Completed", completionTime="2099-01-01T00:00:00Z", progress="1/1")

        def completed() -> bool:
            return any(e.data.get("id") == run and e.data["status"] == "completed" for e in listener.events)

        eventually(completed, what="its end")
        row = next(e.data for e in reversed(listener.events) if e.data.get("id") == run)
        listed = served.http.get("/api/executions", params={"workflow": workflow}).json()["executions"]
        assert [row] == listed
        served.ask("DELETE", f"/{workflow}")
        eventually(lambda: "workflowDeleted" in listener.names(workflow), what="the deletion")
        eventually(lambda: "executionDeleted" in listener.names(run), what="the deletion of its run")


def test_a_stream_of_one_workflow_has_only_its_own_changes(served: Served) -> None:
    mine, other = served.create(steps=[STEP]), served.create(steps=[STEP])
    with Listener(served, workflow=mine) as listener:
        served.execute(other)
        run = served.execute(mine)
        eventually(lambda: listener.names(run), what="the run")
        served.ask("PUT", f"/{mine}", {"description": "changed"})
        eventually(
            lambda: any(e.data.get("description") == "changed" for e in listener.events), what="the change"
        )
        assert {e.data.get("workflowId", e.data.get("id")) for e in listener.events[1:]} == {mine}


def test_a_client_that_reconnects_at_random_under_load_misses_no_final_state(served: Served) -> None:
    """What a client has received, by id, becomes equal to the list, without a resync."""
    chance = random.Random(14)
    workflow = served.create(steps=[STEP])
    with (
        Listener(served, lambda: chance.random() < 0.3, workflow=workflow) as restless,
        Listener(served, workflow=workflow) as calm,
    ):
        runs = [served.execute(workflow) for _ in range(15)]
        for turn in range(1, 9):
            for run in runs:
                if chance.random() < 0.6:
                    served.report(run, phase="Running", progress=f"{turn}/9")
        served.cluster.kubectl("delete", "wfe", *runs[:3], f"--namespace={served.namespace}")

        def listed() -> dict[str, str]:
            rows = served.http.get("/api/executions", params={"workflow": workflow, "limit": 100}).json()
            return {row["id"]: row.get("progress", "") for row in rows["executions"]}

        def received(listener: Listener) -> dict[str, str]:
            state: dict[str, str] = {}
            for event in listener.events:
                if event.name == "execution":
                    state[event.data["id"]] = event.data.get("progress", "")
                elif event.name == "executionDeleted":
                    state.pop(event.data["id"], None)
            return state

        eventually(lambda: len(listed()) == len(runs) - 3, what="the deletions")
        for listener in (restless, calm):
            eventually(lambda of=listener: received(of) == listed(), what="both to agree")  # type: ignore[misc]
            assert [e.name for e in listener.events].count("resync") == 1
            ids = [event.id for event in listener.events]
            assert len(ids) == len(set(ids)), "an event came twice"


def test_an_unknown_or_expired_position_gets_a_resync(served: Served) -> None:
    for stale in ("00000000-1", "not one of ours", ""):
        source = EventSource(served.http, EVENTS)
        source.last_id = stale
        first = next(source.events())
        assert first.name == "resync"
    source.last_id = first.id.partition("-")[0] + "-999999999"
    assert next(source.events()).name == "resync"


@pytest.fixture
def small(cluster: LocalCluster, tmp_path: Path) -> Iterator[Served]:
    """A facade that serves few streams."""
    with serving(cluster, tmp_path, max_streams=2, drain_timeout=1) as made:
        yield made


def test_streams_are_bounded_and_end_when_the_facade_stops(small: Served) -> None:
    with Listener(small) as first, Listener(small) as second:
        answer = small.http.get(EVENTS)
        assert answer.status_code == 503
        assert "NIGHTCRAWLER_MAX_STREAMS" in answer.json()["detail"]
        assert answer.headers["retry-after"]
        assert "nightcrawler_api_streams 2.0" in small.http.get("/metrics").text
        small.facade.stop(signal.SIGTERM)
        assert first.ended.wait(5)
        assert second.ended.wait(5)
    small.facade.start()
    eventually(lambda: "nightcrawler_api_streams 0.0" in small.http.get("/metrics").text, what="no stream")
    with Listener(small):
        pass
    eventually(
        lambda: "nightcrawler_api_streams 0.0" in small.http.get("/metrics").text, what="it to be closed"
    )


@pytest.fixture
def crowded(cluster: LocalCluster, tmp_path: Path) -> Iterator[Served]:
    """A facade that serves as many streams as are opened."""
    with serving(cluster, tmp_path, max_streams=CROWD, drain_timeout=1) as made:
        yield made


async def test_each_of_five_hundred_clients_gets_the_last_change_and_none_delays_a_stop(
    crowded: Served,
) -> None:
    url = crowded.http.base_url
    request = f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=1 << 20)
        writer.write(request)
        await asyncio.wait_for(reader.readuntil(b"event: resync\n"), 60)
        return reader, writer

    def change() -> None:
        workflow = crowded.create(steps=[STEP])
        for turn in range(10):
            crowded.ask("PUT", f"/{workflow}", {"description": f"turn {turn}"})

    clients = await asyncio.gather(*(connected() for _ in range(CROWD)))
    assert (await asyncio.to_thread(crowded.http.get, EVENTS)).status_code == 503
    await asyncio.to_thread(change)
    last = b'"description":"turn 9"'
    await asyncio.gather(*(asyncio.wait_for(reader.readuntil(last), 60) for reader, _ in clients))
    await asyncio.to_thread(crowded.facade.stop)
    rest = await asyncio.gather(*(asyncio.wait_for(reader.read(), 60) for reader, _ in clients))
    assert all(part.endswith(b"\r\n0\r\n\r\n") for part in rest), "each stream was ended, not broken off"
    for _, writer in clients:
        writer.close()


def test_a_client_that_does_not_read_delays_nobody_and_gets_a_resync(served: Served) -> None:
    url = served.http.base_url
    with socket.socket() as slow:
        # Before it connects: into a window that has shrunk the kernel sends only now and then.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((url.host, url.port or 80))
        slow.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        began = time.monotonic()
        with Listener(served) as listener:
            workflow = served.create(name="x" * 200, description="y" * 4000, steps=[STEP])
            for turn in range(200):
                served.ask("PUT", f"/{workflow}", {"description": f"{turn} ".ljust(4000, "y")})
            eventually(
                lambda: any(e.data.get("description", "").startswith("199 ") for e in listener.events),
                what="the last change",
            )
        # TCP tries again after twice the time each: at most as long as it has been trying, and half a minute
        # longer for a busy machine.
        slow.settimeout(time.monotonic() - began + 30)
        received = b""
        while b'description":"199 ' not in received:
            part = slow.recv(1 << 16)
            assert part, "the stream ended"
            received += part
        assert received.count(b"event: workflow\n") < 200, "changes are coalesced"


def test_curl_shows_events_as_they_come(served: Served) -> None:
    command = ["curl", "--silent", "--no-buffer", "--noproxy", "*", f"{served.http.base_url}/api/events"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout
        assert curl.stdout.readline() == "event: resync\n"
        workflow = served.create(steps=[STEP])
        for line in curl.stdout:
            if line.startswith("data: ") and workflow in line:
                break
        curl.terminate()
