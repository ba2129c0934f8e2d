"""Bodies in YAML, read as kubectl reads manifests, and passed on as JSON.

Values are built from the parser's events, so that nothing is expanded before it has been counted: an alias
can stand for a million others, and deep nesting would exhaust the stack.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from typing_extensions import override

from nightcrawler_api.errors import BadBody
from nightcrawler_api.http.conditions import refuse_unless_taken
from nightcrawler_api.http.json_body import JSON, MAX_BYTES, MAX_DEPTH, JsonRequest
from nightcrawler_api.http.nesting import is_deeper
from nightcrawler_api.http.yaml_words import NotJson, key_of, value_of
from nightcrawler_api.refusals import at, summary
from nightcrawler_crds.validation import pointer_part

YAML: Final = "application/yaml"
_ALSO: Final = ("application/x-yaml", "text/yaml", "text/x-yaml")


class YamlRequest(JsonRequest):
    """A request whose body is YAML or JSON; what reads it sees JSON."""

    accepted = (JSON, YAML, *_ALSO)

    async def translate(self) -> None:
        """Replace a body in YAML with the same value in JSON.

        Raises:
            BadBody: 400, it is not YAML, or has what JSON cannot say; 422, it has duplicate keys.
        """
        if await self.body() and self.media_type != JSON:
            # In a thread, because a megabyte takes a second.
            self._body = await asyncio.to_thread(to_json, self._body)
            others = [pair for pair in self.scope["headers"] if pair[0] != b"content-type"]
            self.scope = {**self.scope, "headers": [*others, (b"content-type", JSON.encode())]}
            del self._headers  # they are those of the scope


class YamlRoute(APIRoute):
    """A route whose requests may have a body in YAML."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def translated(request: Request) -> Response:
            refuse_unless_taken(self, request.headers.keys())
            asked = YamlRequest(request.scope, request.receive)
            await asked.translate()
            return await handle(asked)

        return translated


def to_json(body: bytes) -> bytes:
    """The one document of a body as JSON, whose numbers and size are not checked yet.

    Raises:
        BadBody: As `YamlRequest.translate` does.
    """
    if _is_json(body):
        return body
    import yaml  # noqa: PLC0415 - most installations never import a manifest

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        value = _Composer(yaml).document(yaml.parse(body, Loader=loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadBody(400, f"the body is not YAML: {' '.join(str(error).split())}") from error
    except NotJson as error:
        raise BadBody(400, f"the body has {error}") from error
    return json.dumps(value).encode()


def _is_json(body: bytes) -> bool:
    """Whether a body is an object in JSON, which is YAML but for escapes of characters beyond U+FFFF."""
    if body.lstrip()[:1] != b"{" or is_deeper(body, MAX_DEPTH):
        return False
    try:
        msgspec.json.decode(body)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _Open:
    """A container that is being read: its place, what an alias to it will count, and the pending key."""

    value: Any
    place: str
    anchor: str | None
    began_at: int
    height: int = 1
    key: str | None = None


@dataclass(slots=True)
class _Anchored:
    """A value that aliases may stand for, with its size in characters and its height in levels."""

    value: Any
    size: int
    height: int


@dataclass(slots=True)
class _Composer:
    """Builds the value of a document."""

    yaml: Any
    root: list[Any] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchored: dict[str, _Anchored] = field(default_factory=dict)
    size: int = 0
    """Characters so far, with all that aliases stand for."""

    def document(self, events: Iterable[Any]) -> Any:
        """The value; of an empty stream, None."""
        yaml, documents = self.yaml, 0
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.SequenceStartEvent():
                    self._begin([], event.anchor)
                case yaml.MappingStartEvent():
                    self._begin({}, event.anchor)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._end()
                case yaml.AliasEvent():
                    self._alias(event.anchor)
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise NotJson("several documents; send them one by one")
                case _:
                    pass  # the start and end of the stream
        return self.root[0] if self.root else None

    def _scalar(self, event: Any) -> None:
        self._count(len(event.value) + 1)
        plain = event.implicit[0] and event.tag is None
        owner = self.stack[-1] if self.stack else None
        if owner is not None and isinstance(owner.value, dict) and owner.key is None:
            owner.key = key_of(event.value, event.tag, plain=plain)
            if owner.key in owner.value:
                found = [
                    at(
                        f"{owner.place}/{pointer_part(owner.key)}",
                        "stands more than once in its object; send it once",
                    )
                ]
                raise BadBody(422, summary(found), found)
            return
        value = value_of(event.value, event.tag, plain=plain)
        if event.anchor:
            self.anchored[event.anchor] = _Anchored(value, len(event.value) + 1, 0)
        self._put(value)

    def _begin(self, value: Any, anchor: str | None) -> None:
        self._count(1)
        began_at, place = self.size, self._put(value)
        if anchor:
            self.anchored.pop(anchor, None)  # an alias within it would stand for itself
        self.stack.append(_Open(value, place, anchor, began_at))
        self._refuse_deeper(len(self.stack))

    def _end(self) -> None:
        done = self.stack.pop()
        if done.anchor:
            self.anchored[done.anchor] = _Anchored(done.value, self.size - done.began_at + 1, done.height)
        self._raise(done.height + 1)

    def _alias(self, anchor: str) -> None:
        meant = self.anchored.get(anchor)
        if meant is None:
            raise NotJson(f"an alias, *{anchor}, to what is not complete before it")
        self._count(meant.size)
        self._refuse_deeper(len(self.stack) + meant.height)
        self._put(meant.value)
        self._raise(meant.height + 1)

    def _put(self, value: Any) -> str:
        """Put a value into the container that is open; returns its place."""
        if not self.stack:
            self.root.append(value)
            return ""
        owner = self.stack[-1]
        if isinstance(owner.value, list):
            owner.value.append(value)
            return f"{owner.place}/{len(owner.value) - 1}"
        if owner.key is None:
            raise NotJson(f"a key that is no text, in {owner.place or 'its outermost object'}")
        key, owner.key = owner.key, None
        owner.value[key] = value
        return f"{owner.place}/{pointer_part(key)}"

    def _raise(self, height: int) -> None:
        if self.stack:
            self.stack[-1].height = max(self.stack[-1].height, height)

    def _count(self, characters: int) -> None:
        self.size += characters
        if self.size > MAX_BYTES:
            raise BadBody(
                413, f"the body has more than {MAX_BYTES} characters with all that its aliases stand for"
            )

    def _refuse_deeper(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BadBody(400, f"the body is nested more than {MAX_DEPTH} levels deep")
