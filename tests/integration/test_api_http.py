"""HTTP as clients, proxies and health checks speak it: encodings, pipelines, heads, idle connections."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

from localcluster import LocalCluster
from tests.support.facade import PROBLEM, Served, serving

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"name": "Compressed", "steps": [{"name": "a", "image": "busybox:1"}]}).encode()
LIMIT = 64 << 10
HOST = b"Host: localhost\r\n"


@contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    url = served.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    got = b""
    while chunk := connection.recv(65536):
        got += chunk
    return got


def statuses(answers: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", answers)]


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("gzip", gzip.compress(b"\xef\xbb\xbf" + BODY, mtime=0)),
    ],
)
def test_compressed_bodies_are_accepted(served: Served, coding: str, body: bytes) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    answer = served.http.post("/api/workflows", content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "Compressed"


@pytest.mark.parametrize(
    ("coding", "body", "status", "says"),
    [
        ("gzip", BODY, 400, "cannot be unpacked as its Content-Encoding says: it is not gzip"),
        ("gzip", gzip.compress(b" " * (200 << 20), mtime=0), 413, "larger than 1048576 bytes (1 MiB)"),
        ("br", BODY, 415, "send it as gzip or deflate, once, or as it is"),
        ("gzip, gzip", BODY, 415, "send it as gzip or deflate, once, or as it is"),
    ],
)
def test_other_encodings_are_refused_with_the_accepted_ones(
    served: Served, coding: str, body: bytes, status: int, says: str
) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    answer = served.http.post("/api/workflows", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert says in answer.json()["detail"]
    assert (answer.headers.get("accept-encoding") == "gzip, deflate") is (status == 415)


def test_a_duplicate_key_is_refused_by_every_way_of_writing(served: Served) -> None:
    workflow = served.create()
    for verb, path in (("POST", ""), ("PUT", f"/{workflow}"), ("POST", f"/{workflow}/execute")):
        body = b'{"name": "a", "config": {"retries": 1, "retries": 2}}'
        answer = served.http.request(verb, f"/api/workflows{path}", content=body, headers=JSON)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/config/retries"]


def test_health_checks_of_http_1_0_without_a_host_are_answered_and_closed(served: Served) -> None:
    for path in (b"/healthz", b"/readyz", b"/api/workflows"):
        with connected(served) as connection:
            connection.sendall(b"GET " + path + b" HTTP/1.0\r\n\r\n")
            answer = until_closed(connection)
        assert statuses(answer) == [200], answer
        assert b"transfer-encoding" not in answer.lower()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"Connection: close\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        # Just over the limit: more would still be on its way when the connection is closed, and reset it.
        ((b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: ").ljust(LIMIT + 1, b"x"), 431),
        (b"GET /".ljust(LIMIT + 1, b"x"), 431),
        (
            b"POST /api/workflows HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            400,
        ),
    ],
    ids=["no host", "two hosts", "no http", "endless header", "endless line", "two lengths"],
)
def test_bad_request_heads_are_answered_with_a_problem_and_closed(
    served: Served, request_: bytes, status: int
) -> None:
    with connected(served) as connection:
        connection.sendall(request_)
        answer = until_closed(connection)
    assert statuses(answer) == [status]
    assert PROBLEM.encode() in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == status


def test_a_request_head_just_below_the_limit_is_accepted(served: Served) -> None:
    assert served.http.get("/healthz", headers={"X": "x" * 60_000}).status_code == 200


def test_pipelined_requests_are_answered_in_turn_errors_among_them(served: Served) -> None:
    head = HOST + b"Content-Type: application/json\r\n"
    bad = b'{"name": "a", "name": "b"}'
    requests = [
        b"GET /api/workflows/none HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /api/workflows HTTP/1.1\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(bad) + bad,
        b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PATCH /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    ]
    with connected(served) as connection:
        connection.sendall(b"".join(requests))
        assert statuses(until_closed(connection)) == [404, 422, 200, 405, 200]


def test_a_body_gets_100_continue_only_if_it_is_not_too_large(served: Served) -> None:
    head = b"POST /api/workflows HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    head += b"Expect: 100-continue\r\nConnection: close\r\n"
    with connected(served) as connection:
        connection.sendall(head + b"Content-Length: 14\r\n\r\n")
        assert statuses(connection.recv(1000)) == [100]
        connection.sendall(b'{"name": "ab"}')
        assert statuses(until_closed(connection)) == [201]
    with connected(served) as connection:
        connection.sendall(head + b"Content-Length: 2000000\r\n\r\n")
        assert statuses(until_closed(connection)) == [413]


def test_an_idle_connection_is_kept_for_as_long_as_the_setting_says(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with serving(cluster, tmp_path, keep_alive="7 seconds") as own, connected(own) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        with HTTPResponse(connection) as answer:
            answer.begin()
            assert (answer.status, json.loads(answer.read())["status"]) == (200, "ok")
        began = time.monotonic()
        assert until_closed(connection) == b""
        assert time.monotonic() - began > 6, "uvicorn's own would be 5 seconds"
