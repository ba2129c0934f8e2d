"""Callers by Kubernetes while its API server is away or slow, and what one caller may ask of a facade."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from localcluster import LocalCluster
from nightcrawler_api.auth import reviews
from tests.support.accessmatrix import Person
from tests.support.callers import As
from tests.support.facade import PROBLEM, Json
from tests.support.forwarder import Forwarder
from tests.support.identities import Site, a_site
from tests.support.polling import eventually
from tests.support.sse import EventSource

PEOPLE: Final = tuple(Person(name, home="team") for name in ("ann", "bob", "carl", "dora", "eve"))
FORGED: Final = 150
PER_SECOND: Final = 25


@pytest.fixture(scope="module")
def line(cluster: LocalCluster) -> Iterator[Forwarder]:
    """The way from the facade to the API server."""
    port = urlsplit(cluster.server_url).port
    assert port is not None
    with Forwarder(port) as started:
        yield started


@pytest.fixture(scope="module")
def site(cluster: LocalCluster, line: Forwarder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings: dict[str, object] = {
        "server": f"https://127.0.0.1:{line.port}",
        "max_requests_per_second": PER_SECOND,
        "max_streams_per_caller": 1,
    }
    with a_site(cluster, tmp_path_factory.mktemp("reviewed"), "kubernetes", PEOPLE, **settings) as made:
        yield made


def unanswered(answer: httpx.Response) -> None:
    """It is said that who asks, and what they may, is not known now, and when to try again; nothing else."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert int(answer.headers["retry-after"]) > 0
    assert "www-authenticate" not in answer.headers
    assert "etag" not in answer.headers
    problem: Json = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "requestId"}
    assert "Kubernetes cannot be asked who is calling, and what they may: the API server" in problem["detail"]
    assert problem["detail"].endswith("; try again later")


def forged(site: Site, number: int = 0) -> dict[str, str]:
    """The header of a request with a token that is nobody's."""
    [token] = site.people["ann"].http.headers["Authorization"].split()[1:]
    return {"Authorization": f"Bearer {token[:-12]}{number:012d}"}


def known(caller: As, workflow: str) -> float:
    """Have the facade remember who a caller is and that they may read; when that was."""
    began = time.monotonic()
    caller.ask("GET", f"/workflows/{workflow}")
    caller.sees()
    return began


def test_while_the_api_server_is_away_what_is_remembered_holds_and_nothing_else_is_decided(
    site: Site, line: Forwarder
) -> None:
    ann, bob, carl, http = site.people["ann"], site.people["bob"], site.people["carl"], site.served.http
    private = ann.create(name="private", config={"security": {"visibility": "Private"}})
    own = bob.create(name="own", config={"security": {"visibility": "Private"}})
    known(bob, own)
    known(ann, private)
    tags = {path: ann.send("GET", path).headers["etag"] for path in ("/workflows", f"/workflows/{private}")}
    line.away()
    try:
        # A token is remembered for ten seconds, which this does not take.
        for path, tag in tags.items():
            assert ann.send("GET", path, headers={"If-None-Match": tag}).status_code == 304
            unanswered(carl.send("GET", path, headers={"If-None-Match": tag}))
            unanswered(http.get(f"/api{path}", headers={**forged(site), "If-None-Match": tag}))
        assert private in ann.sees()
        assert own in bob.sees()
        assert private not in bob.sees()
        bob.ask("GET", f"/workflows/{private}", code=404)
        # Who they are is remembered, and not whether they may do this.
        unanswered(ann.send("POST", f"/workflows/{private}/pause"))
        unanswered(ann.send("DELETE", f"/workflows/{private}", headers={"X-Request-Id": "away-ann"}))
        sent = {**forged(site), "X-Request-Id": "away-nobody"}
        unanswered(http.delete(f"/api/workflows/{private}", headers=sent))
        assert http.get("/healthz").status_code == 200
        # After its time a token is not taken for valid any more, and not for invalid either.
        answer = eventually(
            lambda: ann.send("GET", "/workflows"),
            until=lambda one: one.status_code != 200,
            within=6 * reviews.TOKEN_SECONDS,
            what="the review of Ann's token to be too old",
        )
        unanswered(answer)
    finally:
        line.back()
    eventually(lambda: private in ann.sees(), what="Ann to be known again")
    eventually(lambda: carl.send("GET", "/workflows").status_code == 200, what="Carl to be known")
    assert http.get("/api/workflows", headers=forged(site)).status_code == 401
    eventually(lambda: ann.send("POST", f"/workflows/{private}/pause").status_code == 200, what="a write")
    ann.ask("DELETE", f"/workflows/{private}")
    bob.ask("DELETE", f"/workflows/{own}")
    lines = site.served.facade.log.splitlines()
    for request, caller in (("away-ann", ":ann"), ("away-nobody", "unknown")):
        [written] = [one for one in lines if f'"requestId":"{request}"' in one and '"status":503' in one]
        assert f'{caller}"' in written


async def storm(site: Site, unseen: As) -> list[httpx.Response]:
    """The answers to many tokens of nobody at once; the last is to a good one that has not been seen yet."""
    url = str(site.served.http.base_url)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as client:
        tokens = [forged(site, number) for number in range(FORGED)]
        tokens.append({"Authorization": unseen.http.headers["Authorization"]})
        return await asyncio.gather(*(client.get("/api/workflows", headers=token) for token in tokens))


def test_slow_reviews_end_in_time_are_few_and_keep_nobody_waiting_who_is_known(
    site: Site, line: Forwarder
) -> None:
    bob, dora = site.people["bob"], site.people["dora"]
    workflow = bob.create(name="of all")
    since = known(bob, workflow)
    taken = line.taken
    line.stall()
    try:
        with ThreadPoolExecutor(1) as pool:
            began, ended = time.monotonic(), list[float]()
            answers = pool.submit(asyncio.run, storm(site, dora))
            # Bob's last request would be counted too.
            answers.add_done_callback(lambda _: ended.append(time.monotonic()))
            slowest, count = 0.0, 0
            while not answers.done():
                asked = time.monotonic()
                answer = bob.send("GET", f"/workflows/{workflow}")
                if time.monotonic() - since < reviews.TOKEN_SECONDS:
                    assert answer.status_code == 200, answer.text
                    slowest, count = max(slowest, time.monotonic() - asked), count + 1
                time.sleep(2 / PER_SECOND)
        assert len(answers.result()) == FORGED + 1
        for answer in answers.result():
            unanswered(answer)
    finally:
        line.back()
    assert count > 0
    assert slowest < reviews._TIMEOUT, "who is known waits for nobody's review"
    # As many at once as may be, one after the other, would take five times as long.
    assert ended[0] - began < 3 * reviews._TIMEOUT
    # A few come after the first have been given up; and the cluster is followed.
    assert line.taken - taken <= 2 * reviews._AT_ONCE
    eventually(lambda: workflow in dora.sees(), what="Dora to be known")
    assert site.served.http.get("/api/workflows", headers=forged(site)).status_code == 401
    bob.ask("DELETE", f"/workflows/{workflow}")


def test_what_one_caller_asks_too_much_is_429_and_others_are_answered(site: Site) -> None:
    bob, eve = site.people["bob"], site.people["eve"]
    eventually(lambda: eve.send("GET", "/workflows").status_code == 200, what="Eve to be known")
    stream = EventSource(eve.http, "/api/events").events()
    assert next(stream).name == "resync"
    second = eve.send("GET", "/events")
    others = EventSource(bob.http, "/api/events").events()
    assert next(others).name == "resync"
    for one in (stream, others):
        one.close()  # type: ignore[attr-defined] # it is a generator

    async def many() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            base_url=eve.http.base_url, headers=eve.http.headers, trust_env=False, timeout=60
        ) as client:
            return await asyncio.gather(*(client.get("/api/workflows") for _ in range(10 * PER_SECOND)))

    answers = asyncio.run(many())
    assert bob.send("GET", "/workflows").status_code == 200
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    refused: list[Any] = [second, *(answer for answer in answers if answer.status_code == 429)]
    for answer in refused:
        assert answer.status_code == 429
        assert answer.headers["content-type"] == PROBLEM
        assert int(answer.headers["retry-after"]) > 0
        assert ":eve " in answer.json()["detail"]
    assert "has 1 open streams" in second.json()["detail"]


@pytest.mark.parametrize(
    ("length", "says"), [(32_000, "does not accept the token"), (64_000, "longer than 32768 bytes")]
)
def test_long_tokens_are_refused_with_a_sentence_and_are_not_in_the_log(
    site: Site, length: int, says: str
) -> None:
    token = "x" * length
    answer = site.served.http.get("/api/workflows", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert says in answer.json()["detail"]
    assert token[:100] not in answer.text
    assert token[:100] not in site.served.facade.log
