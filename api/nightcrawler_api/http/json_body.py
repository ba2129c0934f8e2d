"""Request bodies: of limited size, strict JSON, only values that the cluster stores unchanged.

They may be compressed (`encodings`); the limit holds before and after decompression.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from typing_extensions import override

from nightcrawler_api.errors import BadBody
from nightcrawler_api.http.conditions import refuse_unless_taken
from nightcrawler_api.http.duplicates import repeated_keys
from nightcrawler_api.http.encodings import TAKEN, Broken, TooLarge, UnknownEncoding, unpacker
from nightcrawler_api.http.exactnumbers import inexact_numbers
from nightcrawler_api.http.limits import MAX_BODY
from nightcrawler_api.http.nesting import is_deeper
from nightcrawler_api.refusals import at, summary

JSON: Final = "application/json"
MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 100
_LONGEST_INT: Final = 400
# Escapes in order; the group is a lone surrogate.
_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
_BYTE: Final = re.compile(r"\(byte (\d+)\)")


class JsonRequest(Request):
    """A request whose body is read by these rules.

    Attributes:
        accepted: The media types of bodies. Never one that forms have, or every web page could run workflows
            on its reader's loopback interface: browsers send a CORS preflight before all others.
    """

    accepted: ClassVar[tuple[str, ...]] = (JSON,)

    @property
    def media_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def _most(self) -> int:
        """The most bytes of the body."""
        most: int = self.scope.get(MAX_BODY, MAX_BYTES)
        return most

    @override
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            length = self.headers.get("content-length", "")
            if length.isdigit() and int(length) > self._most:
                raise _too_large(self._most)
            self._body = await self._unpacked()
            self._refuse_other_types()
        return self._body

    @override
    async def json(self) -> Any:
        return parse(await self.body())

    async def _unpacked(self) -> bytes:
        coding = self.headers.get("content-encoding", "")
        chunks, size = [], 0
        try:
            unpack = unpacker(coding, self._most)
            async for chunk in self.stream():
                size += len(chunk)
                if size > self._most:
                    raise _too_large(self._most)
                chunks.append(unpack.take(chunk))
            if size:
                unpack.end()
        except UnknownEncoding as error:
            raise BadBody(415, str(error), headers={"Accept-Encoding": ", ".join(TAKEN)}) from error
        except Broken as error:
            raise BadBody(
                400, f"the body cannot be unpacked as its Content-Encoding says: {error}"
            ) from error
        except TooLarge as error:
            raise _too_large(self._most) from error
        return b"".join(chunks)

    def _refuse_other_types(self) -> None:
        kind = self.media_type
        if self._body and kind not in self.accepted:
            wanted = " or ".join(self.accepted[:2])
            raise BadBody(415, f"the body is sent as {kind or 'no type'}; send it as Content-Type: {wanted}")


class JsonRoute(APIRoute):
    """A route whose requests are `JsonRequest`s."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            refuse_unless_taken(self, request.headers.keys())
            return await handle(JsonRequest(request.scope, request.receive))

        return strictly


def parse(body: bytes) -> Any:
    """A body as a value.

    Raises:
        BadBody: 400, it is not JSON; 422, it has numbers that the cluster would change,
            or duplicate keys.
    """
    # A byte order mark may be ignored (RFC 8259, section 8.1).
    body = body.removeprefix(codecs.BOM_UTF8)
    if is_deeper(body, MAX_DEPTH):
        raise BadBody(400, f"the body is nested more than {MAX_DEPTH} levels deep")
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError:
        value = _with_infinities(body)
    except ValueError as error:
        raise BadBody(400, _malformed(body, error)) from error
    findings = [
        at(pointer, "stands more than once in its object; send it once") for pointer in repeated_keys(body)
    ]
    findings = findings or inexact_numbers(body)
    if findings:
        raise BadBody(422, summary(findings), findings)
    return value


def _too_large(most: int) -> BadBody:
    size = f"{most} bytes (1 MiB)" if most == MAX_BYTES else f"{most} bytes"
    return BadBody(
        413, f"the body is larger than {size}, the most that is accepted, before and after unpacking"
    )


def _with_infinities(body: bytes) -> Any:
    """A body with infinity for every number out of range, so that they can be located.

    Raises:
        BadBody: 400, it is not JSON after the first such number.
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
