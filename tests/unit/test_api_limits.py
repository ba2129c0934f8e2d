"""Limits on requests: heads, bodies, requests a second and streams of one caller."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.caller import CALLER, Caller
from nightcrawler_api.errors import TooManyOfCaller, TooManyStreams
from nightcrawler_api.http.limits import Limited, Limits
from nightcrawler_api.http.rates import Rates
from nightcrawler_api.http.streams import Stream, Streams
from nightcrawler_api.settings import Settings
from tests.support.fakeserver import store_of
from tests.unit.test_api_tags_of_reads import absent

ANN, BOB = Caller("ann"), Caller("bob")


# --- rates -----------------------------------------------------------------------------------------


@given(st.integers(1, 50), st.lists(st.floats(0, 1), max_size=200))
def test_in_no_time_does_a_caller_get_more_than_its_rate_and_a_burst(rate: int, pauses: list[float]) -> None:
    rates, now = Rates(rate), 1_000.0
    passed: list[float] = []
    for pause in pauses:
        now += pause
        if rates.take("ann", now) == 0.0:
            passed.append(now)
    for begin, first in enumerate(passed):
        for end in range(begin, len(passed)):
            assert end - begin + 1 <= 2 * rate + (passed[end] - first) * rate + 1e-6


@given(st.integers(1, 50))
def test_a_burst_passes_and_then_one_for_each_interval(rate: int) -> None:
    rates = Rates(rate)
    assert [rates.take("ann", 0.0) for _ in range(2 * rate)] == [0.0] * (2 * rate)
    wait = rates.take("ann", 0.0)
    assert wait == pytest.approx(1 / rate)
    assert rates.take("ann", wait + 1e-6) == 0.0
    assert rates.take("ann", wait + 1e-6) > 0
    assert rates.take("bob", 0.0) == 0.0, "each caller has its own"


def test_callers_that_have_been_idle_are_forgotten() -> None:
    rates = Rates(1)
    for number in range(30_000):
        assert rates.take(f"caller {number}", number / 100) == 0.0
    assert len(rates._worked_off) < 11_000


# --- requests --------------------------------------------------------------------------------------


@asynccontextmanager
async def facade(**settings: Any) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with store_of(absent) as store:
        app = create_app(Settings(**settings), store)
        for informer in app.state.facade.cluster._informers:
            informer.synced.set()
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


async def test_too_many_requests_are_429_with_the_time_to_wait_and_probes_never_are() -> None:
    async with facade(max_requests_per_second=3) as client:
        answers = [await client.get("/api/workflows") for _ in range(12)]
        probes = [(await client.get("/metrics")).status_code for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:6]] == [200] * 6
    assert len(refused) >= 3
    for answer in refused:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert "anonymous sends more than 3 requests a second" in answer.json()["detail"]
    assert probes == [200] * 12


async def test_each_caller_has_its_own_rate() -> None:
    passed: list[str] = []

    async def note(scope: Any, _: Any, __: Any) -> None:
        passed.append(str(scope[CALLER]))

    async def ignore(_: Any) -> None:
        pass

    limited = Limited(note, Limits(head=65_536, body=1, per_second=1))
    for caller in (ANN, ANN, ANN, BOB):
        scope = {"type": "http", "path": "/api/x", "raw_path": b"", "query_string": b"", "headers": []}
        await limited(scope | {CALLER: caller}, ignore, ignore)  # type: ignore[arg-type]
    assert passed == ["ann", "ann", "bob"]


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_read(packed: bool) -> None:
    async with facade(max_body_bytes=2_000) as client:
        statuses = []
        for size in (2_000, 2_001):
            body = json.dumps({"name": "x", "description": ""}).encode()
            body = body[:-2] + b"x" * (size - len(body)) + body[-2:]
            assert len(body) == size
            headers = {"Content-Type": "application/json"}
            if packed:
                body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
            answer = await client.post("/api/workflows", content=body, headers=headers)
            statuses.append(answer.status_code)
    assert statuses == [404, 413], "the fake API server knows no namespace"
    assert "larger than 2000 bytes" in answer.json()["detail"]


async def test_a_head_over_the_limit_is_431_wherever_it_is_long() -> None:
    long = "x" * 4_096
    async with facade(max_head_bytes=4_096) as client:
        answers = [
            await client.get("/api/workflows", headers={"X": long}),
            await client.get(f"/api/workflows?search={long}"),
            await client.get(f"/api/workflows/{long}"),
            await client.get("/healthz", headers=[(f"X-{number}", "x" * 100) for number in range(40)]),
        ]
        assert (await client.get("/api/workflows", headers={"X": long[:3_000]})).status_code == 200
    for answer in answers:
        assert answer.status_code == 431
        assert "longer than 4096 bytes" in answer.json()["detail"]


# --- streams ---------------------------------------------------------------------------------------


async def endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b"x"


async def test_a_caller_has_no_more_streams_than_one_may_and_others_have_theirs() -> None:
    streams = Streams(limit=3, per_caller=1)
    sending = Stream(endless(), streams, ANN).stream_response

    async def check(_: Any) -> None:
        if len(streams) == 1:
            with pytest.raises(TooManyOfCaller, match="ann has 1 open streams"):
                Stream(endless(), streams, ANN)
            streams.check(BOB)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await _start(sending, check)
    assert len(streams) == 0
    streams.check(ANN)
    streams.close()
    with pytest.raises(TooManyStreams):
        streams.check(ANN)


async def _start(stream_response: Any, check: Any) -> None:
    """Send a stream, and look at each of its parts."""
    failure: list[BaseException] = []

    async def send(message: Any) -> None:
        if message.get("more_body"):
            try:
                await check(message)
            except BaseException as error:
                failure.append(error)
                raise

    await stream_response(send)
    if failure:
        raise failure[0]
