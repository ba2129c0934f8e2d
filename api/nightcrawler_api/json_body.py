"""How bodies are read: at most 1 MiB, strictly JSON, and nothing that the cluster could not keep."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from typing_extensions import override

from nightcrawler_api.errors import BadBody
from nightcrawler_api.exactnumbers import inexact_numbers
from nightcrawler_api.nesting import is_deeper

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 100
_LONGEST_INT: Final = 400
# Escapes as they come, with the halves of characters that have no other half as the one group.
_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
_BYTE: Final = re.compile(r"\(byte (\d+)\)")


class JsonRequest(Request):
    """A request whose body is read with our rules."""

    @override
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            length = self.headers.get("content-length", "")
            if length.isdigit() and int(length) > MAX_BYTES:
                raise _too_large()
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise _too_large()
                chunks.append(chunk)
            self._body = b"".join(chunks)
            self._refuse_other_types()
        return self._body

    @override
    async def json(self) -> Any:
        return parse(await self.body())

    def _refuse_other_types(self) -> None:
        # A browser asks before it sends JSON to another site, but not before it sends a form: taking
        # forms for JSON would let any web page run workflows on the loopback interface of its reader.
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._body and kind != "application/json":
            raise BadBody(
                415, f"the body is sent as {kind or 'no type'}; send JSON as Content-Type: application/json"
            )


class JsonRoute(APIRoute):
    """A route whose requests are `JsonRequest`s."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return strictly


def parse(body: bytes) -> Any:
    """A body as a value.

    Raises:
        BadBody: 400, it is not JSON; 422, it holds numbers that the cluster would store as others.
    """
    if is_deeper(body, MAX_DEPTH):
        raise BadBody(400, f"the body is nested more than {MAX_DEPTH} levels deep")
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError:
        value = _with_infinities(body)
    except ValueError as error:
        raise BadBody(400, _malformed(body, error)) from error
    findings = inexact_numbers(body)
    if findings:
        raise BadBody(422, "; ".join(finding["detail"] for finding in findings), findings)
    return value


def _too_large() -> BadBody:
    return BadBody(413, f"the body is larger than {MAX_BYTES} bytes (1 MiB), the most that is taken")


def _with_infinities(body: bytes) -> Any:
    """A body with infinity for every number that is out of all range, to say where these are.

    Raises:
        BadBody: 400, behind the first such number it is not JSON.
    """
    try:
        return json.loads(
            body,
            parse_float=float,
            parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST_INT else math.inf,
        )
    except ValueError as error:
        raise BadBody(400, _malformed(body, error)) from error


def _malformed(body: bytes, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the body is not JSON: it is not UTF-8"
    text = str(error).removeprefix("JSON is malformed: ")
    if half := next((found[1] for found in _ESCAPES.finditer(body) if found[1]), None):
        return (
            f"the body is not JSON that can be kept: {half.decode()} is half of a character; send the whole"
        )
    if found := _BYTE.search(text):
        at_byte = int(found[1])
        near = body[max(at_byte - 10, 0) : at_byte + 10].decode(errors="replace")
        return f"the body is not JSON: {text}, near {near!r}"
    return f"the body is not JSON: {text[0].lower()}{text[1:]}"
