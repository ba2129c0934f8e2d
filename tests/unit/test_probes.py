"""Probes over real HTTP: what makes a process unwell, unready, and what does neither."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_operator import probes
from nightcrawler_operator.probes import Checks, checks_of, listen, serve
from nightcrawler_operator.service import Operator
from nightcrawler_operator.settings import Settings

LOOPBACK = "127.0.0.1"


async def ask(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{LOOPBACK}:{port}{path}", timeout=5)


def checks(*, ill: tuple[str, ...] = (), unready: tuple[str, ...] = ()) -> Checks:
    async def health() -> list[str]:
        return list(ill)

    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    return Checks(health, lambda: list(unready), lambda: {"leader": True}, registry)


async def test_no_problems_are_200() -> None:
    async with listen(LOOPBACK, 0, checks()) as port:
        health, ready = await ask(port, "/healthz"), await ask(port, "/readyz")
    assert (health.status_code, health.json()) == (200, {"ok": True})
    assert (ready.status_code, ready.json()) == (200, {"ok": True, "leader": True})


async def test_problems_are_503_and_named() -> None:
    async with listen(LOOPBACK, 0, checks(ill=("the election ended",), unready=("no Jobs yet",))) as port:
        health, ready = await ask(port, "/healthz"), await ask(port, "/readyz")
    assert (health.status_code, health.json()["problems"]) == (503, ["the election ended"])
    assert (ready.status_code, ready.json()["problems"]) == (503, ["no Jobs yet"])


async def test_metrics_are_in_the_text_format_of_prometheus() -> None:
    async with listen(LOOPBACK, 0, checks()) as port:
        metrics = await ask(port, "/metrics")
    assert metrics.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert "things_total 3.0" in metrics.text


async def test_a_port_in_use_is_refused_with_the_variable_to_set() -> None:
    async with listen(LOOPBACK, 0, checks()) as port:
        with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_PROBE_PORT") as refused:
            async with listen(LOOPBACK, port, checks()):
                pytest.fail("two listen on one port")
    assert f"{LOOPBACK}:{port}" in str(refused.value)


async def test_nothing_listens_after_the_end() -> None:
    async with listen(LOOPBACK, 0, checks()) as port:
        pass
    with pytest.raises(httpx.ConnectError):
        await ask(port, "/healthz")


# --- of an operator --------------------------------------------------------------------------------


@asynccontextmanager
async def api_server(*, hangs: bool = False) -> AsyncIterator[str]:
    """Something that answers `/readyz` as the API server does, or not at all; its address."""
    released = asyncio.Event()

    async def readyz(_: web.Request) -> web.Response:
        if hangs:
            await released.wait()
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.get("/readyz", readyz)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        released.set()
        await runner.cleanup()


@asynccontextmanager
async def an_operator(server: str = f"http://{LOOPBACK}:1") -> AsyncIterator[Operator]:
    """An operator that was not started, so that a test can put it into any state."""
    connection = Connection(Identity(server), "test")
    try:
        yield Operator(Settings(probe_port=0), connection)
    finally:
        await connection.close()


def silence(operator: Operator) -> None:
    for informer in operator.cluster.informers:
        informer.last_contact = time.monotonic() - 3600


async def test_a_fresh_operator_is_healthy_but_not_ready_and_says_why() -> None:
    async with an_operator() as operator, serve(operator) as port:
        health, ready = await ask(port, "/healthz"), await ask(port, "/readyz")
    assert health.status_code == 200
    assert ready.status_code == 503
    assert ready.json()["problems"] == [
        "not listed yet: jobs, pods, persistentvolumeclaims, nodes, workflowexecutions"
    ]


async def test_readiness_names_what_keeps_an_operator_from_running_anything() -> None:
    async with an_operator() as operator, serve(operator) as port:
        operator.problem = "the installed custom resource is of another version: apply crds/"
        ready = await ask(port, "/readyz")
    assert (ready.status_code, ready.json()["problems"]) == (503, [operator.problem])


async def test_a_standby_operator_is_ready() -> None:
    async with an_operator() as operator, serve(operator) as port:
        operator.synced.set()
        ready = await ask(port, "/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ok": True, "leader": False})


async def test_a_component_that_exits_makes_the_process_unhealthy() -> None:
    async with an_operator() as operator:
        ended = asyncio.create_task(asyncio.sleep(0), name="election")
        await ended
        operator._tasks.append(ended)
        assert await checks_of(operator).health() == ["the election ended by itself"]


async def test_stale_informers_with_a_reachable_api_server_make_it_unhealthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "_PATIENCE", 30)
    async with api_server() as server, an_operator(server) as operator:
        assert await checks_of(operator).health() == []
        silence(operator)
        assert await checks_of(operator).health() == [
            "nothing received about jobs, pods, persistentvolumeclaims, nodes, workflowexecutions for 300 s"
        ]


async def test_an_unreachable_api_server_is_no_reason_to_restart() -> None:
    async with an_operator() as operator:
        silence(operator)
        assert await checks_of(operator).health() == []


async def test_an_api_server_that_hangs_neither_fails_the_probe_nor_holds_it_up() -> None:
    async with api_server(hangs=True) as server, an_operator(server) as operator, serve(operator) as port:
        silence(operator)
        began = time.monotonic()
        assert (await ask(port, "/healthz")).status_code == 200
        assert time.monotonic() - began < 10


async def test_the_metrics_of_an_operator_are_served() -> None:
    async with an_operator() as operator, serve(operator) as port:
        assert "nightcrawler_operator_leader 0.0" in (await ask(port, "/metrics")).text
