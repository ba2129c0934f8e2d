"""Which requests of browsers are passed on, by the Host and the Origin that they name."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from nightcrawler_api.http.origins import SameOrigin


async def asked(
    verb: str, headers: dict[str, str], *, only_loopback: bool = True, allowed: tuple[str, ...] = ()
) -> httpx.Response:
    app = SameOrigin(PlainTextResponse("passed on"), allowed=allowed, only_loopback=only_loopback)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.request(verb, "/", headers=headers)


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("host", ["evil.example:8080", "localhost.evil.example", "10.0.0.1", "[", "[::1", ""])
async def test_a_dns_name_rebound_to_loopback_is_refused(verb: str, host: str) -> None:
    answer = await asked(verb, {"Host": host, "Origin": f"http://{host}"}, allowed=("*",))
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    if verb != "HEAD":
        assert "NIGHTCRAWLER_API_HOST" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "127.0.0.2", "[::1]", "[::1]:8080"]
)
async def test_loopback_is_known_by_all_its_names(host: str) -> None:
    for verb in ("GET", "POST"):
        assert (await asked(verb, {"Host": host})).status_code == 200
        assert (await asked(verb, {"Host": host, "Origin": f"http://{host}"})).status_code == 200


async def test_listening_beyond_loopback_it_answers_to_every_host() -> None:
    for verb in ("GET", "POST"):
        answer = await asked(verb, {"Host": "nightcrawler.example"}, only_loopback=False)
        assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "http://evil.example", "x", "http://"])
async def test_a_foreign_origin_changes_nothing(origin: str) -> None:
    for host in ("localhost", ""):
        answer = await asked("POST", {"Host": host, "Origin": origin}, only_loopback=False)
        assert answer.status_code == 403
        assert (await asked("GET", {"Host": host, "Origin": origin}, only_loopback=False)).status_code == 200


async def asked_plainly(version: str, headers: list[tuple[bytes, bytes]], verb: str = "GET") -> int:
    """The status of a request as a server hands it on, which a client could not be made to send."""
    app = SameOrigin(PlainTextResponse("passed on"), allowed=(), only_loopback=True)
    scope = {"type": "http", "http_version": version, "method": verb, "path": "/", "headers": headers}
    answered: list[Message] = []

    async def send(message: Message) -> None:
        answered.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, send)
    status: int = answered[0]["status"]
    return status


HOST = (b"host", b"localhost")
OTHER = (b"host", b"evil.example")


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("1.0", [], 200),
        ("1.0", [HOST], 200),
        ("1.0", [OTHER], 403),
        ("1.0", [(b"host", b"")], 403),
        ("1.0", [(b"origin", b"http://evil.example")], 200),
        ("1.1", [], 400),
        ("1.1", [HOST], 200),
        ("1.1", [HOST, HOST], 400),
        ("1.1", [HOST, OTHER], 400),
        ("1.0", [HOST, OTHER], 400),
    ],
)
async def test_only_http_1_0_may_leave_the_host_out_and_none_may_name_two(
    version: str, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    assert await asked_plainly(version, headers) == status


async def test_http_1_0_without_a_host_changes_nothing_for_other_origins() -> None:
    assert await asked_plainly("1.0", [(b"origin", b"http://evil.example")], "POST") == 403
    assert await asked_plainly("1.0", [], "POST") == 200
