"""Lists and watches one kind into a cache of views, until cancelled.

The API server ends watches whenever it likes (timeouts, slow clients, restarts). An informer
resumes from the last resourceVersion that it observed, lists again when that is too old, and
reports what was deleted meanwhile. It retries every error.

For objects that cannot be decoded see `reading`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final, Generic, TypeVar

import msgspec

from nightcrawler_crds import errors
from nightcrawler_crds.kube.cache import Cache, HasMeta, Key, OnChange
from nightcrawler_crds.kube.reading import Unreadables, from_json, stand_in
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
    """Keeps `cache` in sync with the API server; `synced` is set after the first list.

    With `keep_unreadable`, an object that cannot be decoded stays in the cache as last decoded, or with its
    metadata only, for readers that must know that it exists. Otherwise it is removed from the cache.
    """

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
        keep_unreadable: bool = False,
    ) -> None:
        self.cache: Cache[V] = Cache(on_change)
        self.synced = asyncio.Event()
        self.last_contact = time.monotonic()
        """When the API server last sent anything, by the monotonic clock; bookmarks come once a minute."""
        self.resource = resource
        self.title = resource.kind
        """The kind of the objects; to be changed where another informer has the same."""
        self.unreadable = Unreadables(resource)
        self.failure = ""
        """The last error; empty once the watch works again."""
        self._store = store
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._kind = kind
        self._keep_unreadable = keep_unreadable
        self._decoder = msgspec.json.Decoder(kind, strict=False)
        self._events = msgspec.json.Decoder(_Event)
        self._bookmarks = msgspec.json.Decoder(_Bookmark)
        self._version = ""

    @property
    def version(self) -> str:
        """The resourceVersion up to which `cache` is complete; empty before every list."""
        return self._version

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
                    # A server that ends watches at once must not be asked again without a pause.
                    await asyncio.sleep(_BRIEF)
                backoff = _BACKOFF_FIRST
            except errors.Gone:
                log.info("the watch of %s is too far behind; listing again", self.resource.plural)
                self._version = ""
            except (errors.ApiError, msgspec.DecodeError) as error:
                self.failure = str(error)
                if self._version != before or clock() - since > _BACKOFF_MOST:
                    backoff = _BACKOFF_FIRST  # it made progress before this error
                log.warning(
                    "watching %s failed, retrying in %.1f s: %s", self.resource.plural, backoff, error
                )
                await asyncio.sleep(backoff * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, hides nothing
                backoff = min(backoff * 2, _BACKOFF_MOST)

    async def _list(self) -> None:
        found: list[V] = []
        unreadable: set[Key] = set()
        version, continue_ = "", ""
        while True:
            page = await self._store.list_page(
                self.resource,
                self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                continue_=continue_,
            )
            for item in page.items:
                try:
                    found.append(self._read(item))
                except errors.Unreadable as error:
                    self.unreadable.note(error)
                    if error.key is not None:
                        unreadable.add(error.key)
                    if (kept := self._kept(error, item)) is not None:
                        found.append(kept)
            # All pages should have the first page's version; if one is later, the earlier version is safe.
            version = version or page.metadata.resource_version
            continue_ = page.metadata.continue_
            self.last_contact = time.monotonic()
            if not continue_:
                break
            await asyncio.sleep(0)
        self.unreadable.retain(unreadable)
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
            self.last_contact = time.monotonic()
            self.failure = ""
            count = 0
            async for line in lines:
                self._take(self._events.decode(line))
                self.last_contact = time.monotonic()
                count += 1
                if count % _FAIR_SHARE == 0:
                    await asyncio.sleep(0)  # a long backlog must not starve other tasks

    def _read(self, item: msgspec.Raw) -> V:
        """The view of an object; raises `Unreadable`."""
        view = from_json(item, self._kind, self._decoder)
        meta = view.metadata
        self.unreadable.clear(meta.key, meta.uid, meta.version)
        return view

    def _kept(self, error: errors.Unreadable, item: msgspec.Raw) -> V | None:
        """The view that is cached for an object that cannot be decoded; None for none."""
        if not self._keep_unreadable or error.key is None:
            return None
        known = self.cache.get(error.key)
        return known if known is not None and known.metadata.uid == error.uid else stand_in(item, self._kind)

    def _take(self, event: _Event) -> None:
        if event.type == "BOOKMARK":
            self._version = self._bookmarks.decode(event.object).metadata.resource_version
            return
        if event.type == "ERROR":
            raise translate(_code_of(event.object), bytes(event.object))
        try:
            new = self._read(event.object)
        except errors.Unreadable as error:
            self._take_unreadable(event, error)
            return
        meta = new.metadata
        if event.type == "DELETED":
            self.cache.forget(meta.key, meta.uid, meta.version)
        else:
            self.cache.upsert(new)
        self._version = str(meta.version)

    def _take_unreadable(self, event: _Event, error: errors.Unreadable) -> None:
        if error.key is None:
            self.unreadable.note(error)
            return
        kept = None
        if event.type == "DELETED":
            self.unreadable.clear(error.key, error.uid, error.version)
        else:
            self.unreadable.note(error)
            kept = self._kept(error, event.object)
        if kept is None:
            self.cache.forget(error.key, error.uid, error.version)
        else:
            self.cache.upsert(kept)
        self._version = str(error.version)
