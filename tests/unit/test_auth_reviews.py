"""Kubernetes is asked who calls and what they may: rarely, together, and never guessed while it is away."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from nightcrawler_api.auth import reviews as reviewing
from nightcrawler_api.auth.reviews import Reviews
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import IdentityUnavailable, Unauthenticated
from tests.support.fakeserver import store_of

ANN = Caller("ann", subject="ann", issuer="kubernetes", groups=frozenset(("b", "a")), extra=(("k", ("v",)),))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give reviews a minute for each second, or one ends where the machine stands still for long enough."""
    for seconds in ("_TURN_SECONDS", "_TIMEOUT"):
        monkeypatch.setattr(reviewing, seconds, 60 * getattr(reviewing, seconds))


class Asked:
    """An API server that accepts tokens of `known`, and lets `ann` get workflows of `here`.

    While `go` is not set, reviews wait for it: all, or those of tokens with `held` in them.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bodies: list[Any] = []
        self.status = 201
        self.audiences = ["app"]
        self.held = ""
        self.go = asyncio.Event()
        self.go.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rpartition("/")[2]
        self.asked[kind] += 1
        body = await request.json()
        self.bodies.append(body)
        if self.held in body["spec"].get("token", ""):
            await self.go.wait()
        if self.status != 201:
            return web.json_response(
                {"kind": "Status", "message": "no", "code": self.status}, status=self.status
            )
        spec = body["spec"]
        if kind == "tokenreviews":
            user = {"username": "ann", "uid": "1", "groups": ["a"], "extra": {"k": ["v"]}}
            known = spec["token"].startswith("known")
            status = {"authenticated": known, "user": user if known else {}, "audiences": self.audiences}
            return web.json_response({"status": status}, status=201)
        wanted = spec["resourceAttributes"]
        allowed = (wanted["verb"], wanted.get("namespace")) == ("get", "here")
        return web.json_response({"status": {"allowed": allowed}}, status=201)


@asynccontextmanager
async def asking(audiences: tuple[str, ...] = ("app",)) -> AsyncGenerator[tuple[Reviews, Asked], None]:
    server = Asked()
    async with store_of(server.answer) as store:
        yield Reviews(store, audiences), server


async def test_a_token_is_reviewed_once_for_all_who_come_at_the_same_time() -> None:
    async with asking() as (reviews, server):
        server.go.clear()
        waiting = [asyncio.create_task(reviews.identify("known")) for _ in range(20)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        server.go.set()
        found = await asyncio.gather(*waiting[1:])
        assert {one.id for one in found} == {"kubernetes#ann"}
        assert found[0].groups == {"a"}
        assert server.asked["tokenreviews"] == 1
        assert server.bodies[0]["spec"] == {"token": "known", "audiences": ["app"]}


async def test_tokens_that_are_not_accepted_are_not_remembered_as_anything() -> None:
    async with asking() as (reviews, server):
        for _ in range(2):
            with pytest.raises(Unauthenticated, match="does not accept the token"):
                await reviews.identify("forged")
        assert server.asked["tokenreviews"] == 2
        with pytest.raises(Unauthenticated, match="longer than"):
            await reviews.identify("k" * (64 << 10))
        server.audiences = ["other"]
        with pytest.raises(Unauthenticated, match="not meant for app"):
            await reviews.identify("known")


async def test_rights_are_asked_for_once_per_caller_verb_and_namespace() -> None:
    async with asking() as (reviews, server):
        for _ in range(3):
            assert await reviews.allows(ANN, "get", "here")
            assert not await reviews.allows(ANN, "get", "there")
            assert not await reviews.allows(ANN, "delete", "here")
            assert not await reviews.allows(ANN, "get", "")
        assert server.asked["subjectaccessreviews"] == 4
        spec = server.bodies[0]["spec"]
        assert (spec["user"], spec["groups"], spec["extra"]) == ("ann", ["a", "b"], {"k": ["v"]})
        assert "namespace" not in server.bodies[3]["spec"]["resourceAttributes"]
        others = (
            Caller("bob", subject="bob", issuer="kubernetes"),
            Caller("ann", subject="ann", issuer="kubernetes", groups=frozenset(("a",)), extra=ANN.extra),
            Caller("ann", subject="ann", issuer="kubernetes", groups=ANN.groups),
        )
        for other in others:
            await reviews.allows(other, "get", "here")
        assert server.asked["subjectaccessreviews"] == 7, "an answer about one is not about another"


async def test_what_is_remembered_is_asked_for_again_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
    monkeypatch.setattr(reviewing, "time", clock)
    async with asking() as (reviews, server):
        for seconds in (0, 9):
            now += seconds
            assert await reviews.allows(ANN, "get", "here")
            assert (await reviews.identify("known")).subject == "ann"
        assert server.asked == {"subjectaccessreviews": 1, "tokenreviews": 1}
        server.status = 503
        now = 1_059.0
        assert await reviews.allows(ANN, "get", "here"), "a right is remembered for longer than a token"
        with pytest.raises(IdentityUnavailable):
            await reviews.identify("known")
        now = 1_061.0
        with pytest.raises(IdentityUnavailable):
            await reviews.allows(ANN, "get", "here")
        server.status = 201
        assert await reviews.allows(ANN, "get", "here")
        assert (await reviews.identify("known")).subject == "ann"


@pytest.mark.parametrize(
    ("status", "says"), [(503, "try again later"), (403, "hack/rbac.yaml"), (500, "again")]
)
async def test_while_kubernetes_cannot_be_asked_nothing_is_decided(status: int, says: str) -> None:
    async with asking() as (reviews, server):
        assert await reviews.allows(ANN, "get", "here")
        server.status = status
        assert await reviews.allows(ANN, "get", "here"), "what is remembered still holds"
        for _ in range(2):
            with pytest.raises(IdentityUnavailable, match=says):
                await reviews.allows(ANN, "get", "there")
            with pytest.raises(IdentityUnavailable, match=says):
                await reviews.identify("known")
        server.status = 201
        assert not await reviews.allows(ANN, "get", "there"), "a failure is not remembered"
        assert (await reviews.identify("known")).subject == "ann"


async def test_who_waits_for_a_turn_is_refused_while_the_reviews_before_still_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reviewing._TURN_SECONDS < reviewing._TIMEOUT
    monkeypatch.setattr(reviewing, "_TURN_SECONDS", 1.0)
    async with asking() as (reviews, server):
        server.go.clear()
        reviewed = [
            asyncio.create_task(reviews.identify(f"known {number}")) for number in range(reviewing._AT_ONCE)
        ]
        behind = [asyncio.create_task(reviews.identify(f"known behind {number}")) for number in range(400)]
        for one in behind:
            with pytest.raises(IdentityUnavailable, match="too many others to review; try again later"):
                await one
        assert not any(one.done() for one in reviewed)
        server.go.set()
        assert {one.subject for one in await asyncio.gather(*reviewed)} == {"ann"}
        assert server.asked == {"tokenreviews": reviewing._AT_ONCE}
        assert (await reviews.identify("known behind 1")).subject == "ann", "there are turns again"


async def test_a_review_without_an_answer_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as (reviews, server):
        monkeypatch.setattr(reviewing, "_TIMEOUT", 0.2)
        server.go.clear()
        reviewed = [
            asyncio.create_task(reviews.identify(f"known {number}")) for number in range(reviewing._AT_ONCE)
        ]
        for one in reviewed:
            with pytest.raises(IdentityUnavailable, match="did not answer in time; try again later"):
                await one
        server.go.set()
        monkeypatch.setattr(reviewing, "_TIMEOUT", 120.0)
        assert (await reviews.identify("known")).subject == "ann", "the turns were given back"


async def test_tokens_of_nobody_keep_nobody_waiting_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing, "TOKEN_SECONDS", 0.0)
    monkeypatch.setattr(reviewing, "_MOST_UNKNOWN", 100)
    async with asking() as (reviews, server):
        assert (await reviews.identify("known")).subject == "ann"
        server.held = "forged"
        server.go.clear()
        forged = [asyncio.create_task(reviews.identify(f"forged {number}")) for number in range(100)]
        async with asyncio.timeout(60):
            while reviews._unknown_waiting < len(forged):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0)
        with pytest.raises(IdentityUnavailable, match="too many others"):
            await reviews.identify("forged too")
        for _ in range(3):
            assert (await reviews.identify("known")).subject == "ann"
        assert await reviews.allows(ANN, "get", "here")
        assert not any(one.done() for one in forged)
        server.go.set()
        for one in forged:
            with pytest.raises(Unauthenticated):
                await one
        assert (await reviews.identify("known to others")).subject == "ann", "there is room again"


async def test_a_caller_lasts_as_long_as_the_token_says() -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": 12345}).encode()).decode().rstrip("=")
    async with asking() as (reviews, _):
        assert (await reviews.identify(f"known.{payload}.x")).expires == 12345
        for token in ("known", "known.x.y", "known.e30.y", "known.\xe4.y"):
            assert ((await reviews.identify(token)).expires or 0) > 1e9
