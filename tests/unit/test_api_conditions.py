"""Preconditions: If-Match in all its spellings, and the refusal of those that nothing looks at."""

from __future__ import annotations

import re

import httpx
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.errors import Invalid
from nightcrawler_api.http.conditions import PATTERN, IfMatch, if_match_of
from nightcrawler_api.http.etags import etag_of
from nightcrawler_api.settings import Settings
from tests.support.fakeserver import store_of

VERSION = "3f6a3b52-2b7e-4c7c-9c53-6d5f0f1f7c11.7"
OTHER = "3f6a3b52-2b7e-4c7c-9c53-6d5f0f1f7c11.70"
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def allows(*values: str) -> bool:
    condition = if_match_of(values)
    assert condition is not None
    return condition.allows(VERSION)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((VERSION,), True),
        ((f'"{VERSION}"',), True),
        ((f'W/"{VERSION}"',), True),
        ((etag_of(b"a body", VERSION).decode(),), True),
        (("*",), True),
        ((" * ",), True),
        ((f'"{OTHER}", "{VERSION}"',), True),
        ((f"{OTHER},{VERSION}",), True),
        ((OTHER, f'W/"{VERSION}"'), True),
        ((f'"a,b" ,\tW/"{VERSION}"',), True),
        ((OTHER,), False),
        ((f'"{OTHER}"',), False),
        ((VERSION[:-1],), False),
        (('"*"',), False),
        (('""',), False),
        ((etag_of(b"a body").decode(),), False),
        ((etag_of(b"a body", OTHER).decode(),), False),
    ],
)
def test_if_match_names_versions_in_every_spelling(values: tuple[str, ...], expected: bool) -> None:
    assert allows(*values) is expected


def test_without_a_header_there_is_no_condition_and_a_star_is_one_that_all_versions_meet() -> None:
    assert if_match_of([]) is None
    assert if_match_of(["*"]) == IfMatch(None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        '"',
        f'"{VERSION}',
        f'{VERSION}"',
        "two words",
        "*, *",
        f"*, {VERSION}",
        "w/x y",
        f"{VERSION};",
    ],
)
def test_an_if_match_that_cannot_be_read_is_refused(value: str) -> None:
    with pytest.raises(Invalid) as refused:
        if_match_of([value])
    assert [field["parameter"] for field in refused.value.fields] == ["If-Match"]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=3))
def test_any_header_is_read_or_refused(values: list[str]) -> None:
    try:
        condition = if_match_of(values)
    except Invalid:
        assert not re.fullmatch(PATTERN, ", ".join(values).strip())
    else:
        assert condition is not None


async def unreached(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="{}")


@pytest.mark.parametrize(
    ("verb", "path", "header", "value"),
    [
        ("PUT", "/w", "If-None-Match", "*"),
        ("PUT", "/w", "If-Unmodified-Since", DATE),
        ("DELETE", "/w", "If-Modified-Since", DATE),
        ("DELETE", "/w", "If-Range", f'"{VERSION}"'),
        ("POST", "", "If-None-Match", "*"),
        ("POST", "", "If-Match", "*"),
        ("POST", "/import", "If-Match", VERSION),
        ("POST", "/w/clone", "If-Match", VERSION),
        ("POST", "/w/execute", "If-Match", VERSION),
        ("POST", "/w/executions/e/cancel", "If-Match", "*"),
        ("GET", "/w", "If-Match", VERSION),
        ("GET", "", "If-Unmodified-Since", DATE),
        ("GET", "", "If-Range", DATE),
        ("HEAD", "/w", "If-Match", VERSION),
    ],
)
async def test_a_precondition_that_nothing_looks_at_is_refused(
    verb: str, path: str, header: str, value: str
) -> None:
    async with store_of(unreached) as store:
        app = create_app(Settings(), store)
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.request(verb, f"/api/workflows{path}", headers={header: value})
    assert answer.status_code == 422
    if verb != "HEAD":
        [error] = answer.json()["errors"]
        assert error["parameter"] == header
        assert error["detail"].startswith("is not looked at")


async def test_a_method_that_is_not_there_is_refused_before_its_preconditions() -> None:
    async with store_of(unreached) as store:
        app = create_app(Settings(), store)
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/api/workflows/w/pause", headers={"If-Match": "*"})
    assert answer.status_code == 405
