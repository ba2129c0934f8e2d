"""A proxy between one operator and the API server that injects faults into its requests.

The operator speaks plain http to it on loopback, by a kubeconfig of its own; the proxy speaks https
to the API server. Rules say what happens to which request: the operator is killed before the server
gets it or before the answer gets back, it is delayed, or refused. Watches can be cut or held back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import pytest
from aiohttp import web

from localcluster import LocalCluster
from localcluster.credentials import OPERATOR

_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "upgrade"}
_STARTS_WITHIN: Final = 10.0


@dataclass
class Rule:
    """A fault for some requests; it has no effect once it was `used` as often as allowed.

    Attributes:
        matches: Whether a request is meant: method, path with query, body.
        skip: How many such requests go through first.
        times: To how many of them it happens.
        status: What the proxy answers instead of the server; 0 forwards them.
        kill: Whether the operator is killed, "before" the server gets it or "after" it has answered.
        lose: Whether the connection breaks, "before" the server gets it or "after" it has answered.
        delay: Seconds before it is forwarded.
    """

    matches: Callable[[str, str, str], bool]
    skip: int = 0
    times: int = 1
    status: int = 0
    kill: str = ""
    lose: str = ""
    delay: float = 0.0
    used: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def applies(self, method: str, path: str, body: str) -> bool:
        """Whether it happens to this request; counts it."""
        if self.used >= self.times or not self.matches(method, path, body):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.used += 1
        if self.used == self.times:
            self.done.set()
        return True


class FaultProxy:
    """One proxy, for one operator; in a thread of its own. `victim` is the process to kill."""

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self.victim: Callable[[], int] | None = None
        self.asked: list[str] = []
        """Every request but watches: method and path, in order."""
        self._cluster = cluster
        self._folder = folder
        self._rules: list[Rule] = []
        self._held: list[re.Pattern[str]] = []
        self._watches: dict[asyncio.Task[Any], str] = {}
        self._cut_every: float | None = None
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_STARTS_WITHIN), "the proxy did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STARTS_WITHIN)

    # --- for tests ---------------------------------------------------------------------------------

    @property
    def kubeconfig(self) -> Path:
        """The operator's kubeconfig that leads here."""
        file = self._folder / f"proxy-{self._port}.kubeconfig"
        server = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        user = {"name": OPERATOR, "user": {"token": self._cluster.token(OPERATOR)}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": OPERATOR}}
        content = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy"}
        file.write_text(json.dumps(content | {"clusters": [server], "users": [user], "contexts": [context]}))
        return file

    def on(self, method: str, path: str, body: str = "", **what: Any) -> Rule:
        """Add a rule for requests with this method whose path and body have these patterns in them."""
        in_path, in_body = re.compile(path), re.compile(body, re.DOTALL)

        def matches(of_method: str, of_path: str, of_body: str) -> bool:
            if method not in ("*", of_method) or not in_path.search(of_path):
                return False
            return in_body.search(of_body) is not None

        rule = Rule(matches, **what)
        self._rules.append(rule)
        return rule

    def reset(self) -> None:
        """Remove all faults."""
        self._rules.clear()
        self._held.clear()
        self._cut_every = None

    def hold(self, path: str) -> None:
        """Deliver no events to watches whose path contains this, until `reset`; they stay open."""
        self._held.append(re.compile(path))

    def is_watched(self, pattern: str) -> bool:
        """Whether a watch of a matching path is open."""
        return any(re.search(pattern, path) for path in list(self._watches.values()))

    def cut_watches(self, every: float) -> None:
        """Break all watches every so many seconds, until `reset`."""
        self._cut_every = every

    # --- the server --------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        trust = ssl.create_default_context(cafile=str(self._cluster.authority))
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        nothing = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=nothing
        ) as session:
            self._session = session
            app = web.Application(client_max_size=1 << 24)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            cutter = asyncio.create_task(self._cut())
            self._started.set()
            await self._stop.wait()
            cutter.cancel()
            for task in self._watches:
                task.cancel()
            await runner.cleanup()
        # The session does not wait for its TLS connections to be closed.
        await asyncio.sleep(0.25)

    async def _cut(self) -> None:
        while True:
            await asyncio.sleep(self._cut_every or 0.1)
            if self._cut_every is not None:
                for task in list(self._watches):
                    task.cancel()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if "watch" in request.query:
            return await self._watch(request)
        self.asked.append(f"{request.method} {request.path_qs}")
        text = body.decode(errors="replace")
        rules = [r for r in self._rules if r.applies(request.method, request.path_qs, text)]
        for rule in rules:
            await asyncio.sleep(rule.delay)
            self._break(rule, "before", request)
        status = next((rule.status for rule in rules if rule.status), 0)
        answer = _refusal(status) if status else await self._ask(request, body)
        for rule in rules:
            self._break(rule, "after", request)
        return answer

    async def _ask(self, request: web.Request, body: bytes) -> web.Response:
        try:
            async with self._forward(request, body) as answer:
                content = await answer.read()
        except aiohttp.ClientError:
            return _refusal(503)
        return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=content)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._watches[task] = request.path_qs
        response = web.StreamResponse()
        try:
            async with self._forward(request, b"") as answer:
                if answer.status != 200:
                    body = await answer.read()
                    return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=body)
                response.headers["Content-Type"] = answer.headers["Content-Type"]
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    # `hold` is called from another thread, so there is no event to wait for.
                    while any(held.search(request.path_qs) for held in self._held):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                    await response.write(chunk)
        except (aiohttp.ClientError, ConnectionError):
            if not response.prepared:
                return _refusal(503)
            # The server is gone: break off, as its own connection would.
            if request.transport is not None:
                request.transport.abort()
        finally:
            del self._watches[task]
        return response

    def _forward(self, request: web.Request, body: bytes) -> Any:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        url = f"{self._cluster.server_url}{request.path_qs}"
        return self._session.request(request.method, url, headers=headers, data=body or None)

    def _break(self, rule: Rule, moment: str, request: web.Request) -> None:
        """Kill the operator or break its connection, if the rule says so for this moment."""
        if rule.kill == moment:
            assert self.victim is not None, "the proxy has no victim to kill"
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.victim(), signal.SIGKILL)
        if moment in (rule.kill, rule.lose):
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPServiceUnavailable


def _end_to_end(headers: Any) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() not in _HOP_BY_HOP}


def _refusal(status: int) -> web.Response:
    """What the API server says when it is busy or broken."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response(
        body | {"message": f"the proxy answers {status}"}, status=status, headers=headers
    )


@pytest.fixture
def proxy(cluster: LocalCluster, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy without faults at first."""
    with FaultProxy(cluster, tmp_path) as started:
        yield started
