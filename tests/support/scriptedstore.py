"""A store whose API server follows a script, for informers on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import ListMeta, Page, Store


def an_object(version: int, name: str = "a") -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": meta}


def event(kind: str, version: int, name: str = "a") -> bytes:
    return json.dumps({"type": kind, "object": an_object(version, name)}).encode()


GONE: Final = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
).encode()

Listed = tuple[int, list[dict[str, Any]]]
Watch = list[bytes | float | Exception]
"""Lines, seconds in which there are none, and what breaks it off."""


class Script(Store):
    """A store whose API server follows a script; when it is over, the last watch stays open."""

    def __init__(self, lists: list[list[Listed] | Exception], watches: list[Watch | Exception]) -> None:
        super().__init__(Connection(Identity("http://localhost"), "test"))
        self.lists, self.watches = lists, watches
        self.asked: list[str] = []
        self.over = asyncio.Event()

    @override
    async def list_page(self, resource: names.Resource, namespace: str = "", **asked: Any) -> Page:
        pages = self.lists[0]
        if isinstance(pages, Exception):
            self.lists.pop(0)
            self.asked.append("list")
            raise pages
        page = int(asked["continue_"] or 0)
        if page == 0:
            self.asked.append("list")
        version, items = pages[page]
        follows = str(page + 1) if page + 1 < len(pages) else ""
        if not follows:
            self.lists.pop(0)
        raw = [msgspec.Raw(json.dumps(item).encode()) for item in items]
        return Page(ListMeta(resource_version=str(version), continue_=follows), raw)

    @override
    @asynccontextmanager
    async def watch(
        self, resource: names.Resource, namespace: str, resource_version: str, **asked: Any
    ) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        self.asked.append(f"watch from {resource_version}")
        lines = self.watches.pop(0) if self.watches else None
        if isinstance(lines, Exception):
            raise lines

        async def stream() -> AsyncGenerator[bytes, None]:
            for line in lines or ():
                if isinstance(line, Exception):
                    raise line
                if isinstance(line, float):
                    await asyncio.sleep(line)
                else:
                    yield line
            if lines is None:
                self.over.set()
                await asyncio.Event().wait()

        yield stream()
