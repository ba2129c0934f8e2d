"""List and watch of one kind, for ever, into a cache of slim structs.

The API server ends watches at its will (timeouts, clients it finds slow, restarts);
an informer carries on from the last resourceVersion it heard, and lists anew when that
is too old, telling of what vanished meanwhile. It gives up on nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final, Generic, TypeVar

import msgspec

from nightcrawler_crds import errors
from nightcrawler_crds.kube.cache import Cache, HasMeta, OnChange
from nightcrawler_crds.kube.refusals import translate
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource

log = logging.getLogger(__name__)

V = TypeVar("V", bound=HasMeta)

_BACKOFF_FIRST: Final = 0.1
_BACKOFF_MOST: Final = 10.0
_BRIEF: Final = 0.2
_FAIR_SHARE: Final = 200


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _BookmarkMeta(msgspec.Struct, rename="camel"):
    resource_version: str


class _Bookmark(msgspec.Struct):
    metadata: _BookmarkMeta


class _Code(msgspec.Struct):
    code: int = 500


def _code_of(status: msgspec.Raw) -> int:
    return msgspec.json.decode(status, type=_Code).code


class Informer(Generic[V]):
    """Keeps `cache` as the API server has the selection; `synced` is set after the first list."""

    def __init__(
        self,
        store: Store,
        resource: Resource,
        kind: type[V],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        on_change: OnChange[V] | None = None,
    ) -> None:
        self.cache: Cache[V] = Cache(on_change)
        self.synced = asyncio.Event()
        self.heard_at = time.monotonic()
        """When the API server was last heard of, by the monotonic clock; bookmarks come once a minute."""
        self.resource = resource
        self._store = store
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._decoder = msgspec.json.Decoder(kind, strict=False)
        self._events = msgspec.json.Decoder(_Event)
        self._bookmarks = msgspec.json.Decoder(_Bookmark)
        self._version = ""

    async def run(self) -> None:
        """List, then watch, until cancelled."""
        backoff = _BACKOFF_FIRST
        clock = asyncio.get_running_loop().time
        while True:
            before, since = self._version, clock()
            try:
                if not self._version:
                    await self._list()
                began = clock()
                await self._watch()
                if clock() - began < _BRIEF:
                    # Whatever ends watches as soon as they begin must not be asked without a pause.
                    await asyncio.sleep(_BRIEF)
                backoff = _BACKOFF_FIRST
            except errors.Gone:
                log.info("the watch of %s is too far behind; listing anew", self.resource.plural)
                self._version = ""
            except (errors.ApiError, msgspec.DecodeError) as error:
                if self._version != before or clock() - since > _BACKOFF_MOST:
                    backoff = _BACKOFF_FIRST  # it worked until now
                log.warning("watching %s failed, again in %.1f s: %s", self.resource.plural, backoff, error)
                await asyncio.sleep(backoff * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, hides nothing
                backoff = min(backoff * 2, _BACKOFF_MOST)

    async def _list(self) -> None:
        found: list[V] = []
        version, continue_ = "", ""
        while True:
            page = await self._store.list_page(
                self.resource,
                self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                continue_=continue_,
            )
            found.extend(view for item in page.items if (view := self._read(item)) is not None)
            # Every page is of the first page's moment; should a page be of a later one, the earlier is safe.
            version = version or page.metadata.resource_version
            continue_ = page.metadata.continue_
            self.heard_at = time.monotonic()
            if not continue_:
                break
            await asyncio.sleep(0)
        self.cache.replace_all(found, int(version))
        self._version = version
        self.synced.set()

    async def _watch(self) -> None:
        async with self._store.watch(
            self.resource,
            self._namespace,
            self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        ) as lines:
            self.heard_at = time.monotonic()
            count = 0
            async for line in lines:
                self._take(self._events.decode(line))
                self.heard_at = time.monotonic()
                count += 1
                if count % _FAIR_SHARE == 0:
                    await asyncio.sleep(0)  # a long backlog must not starve everyone else

    def _read(self, item: msgspec.Raw) -> V | None:
        """The view of an object; None for one that cannot be read, for it must not hide the others."""
        try:
            return self._decoder.decode(item)
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning("passing over one of the %s that cannot be read: %s", self.resource.plural, error)
            return None

    def _take(self, event: _Event) -> None:
        if event.type == "BOOKMARK":
            self._version = self._bookmarks.decode(event.object).metadata.resource_version
            return
        if event.type == "ERROR":
            raise translate(_code_of(event.object), bytes(event.object))
        new = self._read(event.object)
        if new is None:
            return
        meta = new.metadata
        if event.type == "DELETED":
            self.cache.forget(meta.key, meta.uid, meta.version)
        else:
            self.cache.upsert(new)
        self._version = str(meta.version)
