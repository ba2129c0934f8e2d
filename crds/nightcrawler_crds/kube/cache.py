"""The cache of one kind's objects, ordered by resourceVersion.

A cache is updated by a watch, by a re-list, and by the responses to our own writes (so that
a reader sees its own writes before the watch reports them). They arrive in any order: an
object is replaced only by a newer version of itself, and a stale event never brings back an
object that was deleted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

_MAX_TOMBSTONES: Final = 20_000


class _Meta(Protocol):
    @property
    def key(self) -> Key: ...
    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> int: ...


class HasMeta(Protocol):
    """What a cache needs of an object."""

    @property
    def metadata(self) -> _Meta:
        """Name, UID and version."""
        ...


V = TypeVar("V", bound=HasMeta)
OnChange = Callable[[V | None, V | None], None]
"""Called with the object before and after the change; None if it does not exist."""


class Cache(Generic[V]):
    """Objects by namespace and name; `on_change` is called for each change, in order, synchronously."""

    def __init__(self, on_change: OnChange[V] | None = None) -> None:
        self._objects: dict[Key, V] = {}
        # uid -> the newest version at which the object was known to be deleted.
        self._tombstones: OrderedDict[str, int] = OrderedDict()
        self._on_change = on_change
        self.max_tombstones = _MAX_TOMBSTONES
        """How many of the objects that were deleted it knows; one that only a watch writes to needs none."""

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[V]:
        return iter(self._objects.values())

    def get(self, key: Key) -> V | None:
        """The latest known version of an object."""
        return self._objects.get(key)

    def upsert(self, new: V) -> bool:
        """Add or update an object; False if the cache has a newer version."""
        meta = new.metadata
        if self._tombstones.get(meta.uid, -1) >= meta.version:
            return False
        old = self._objects.get(meta.key)
        if old is not None and old.metadata.uid == meta.uid and old.metadata.version >= meta.version:
            return False
        if old is not None and old.metadata.uid != meta.uid:
            if old.metadata.version > meta.version:
                return False
            self._add_tombstone(old.metadata.uid, old.metadata.version)
            self._notify(old, None)
            old = None
        self._objects[meta.key] = new
        self._notify(old, new)
        return True

    def forget(self, key: Key, uid: str, version: int) -> bool:
        """Remove an object that was deleted, or no longer matches the selector, as of `version`."""
        self._add_tombstone(uid, version)
        old = self._objects.get(key)
        if old is None or old.metadata.uid != uid or old.metadata.version > version:
            return False
        del self._objects[key]
        self._notify(old, None)
        return True

    def replace_all(self, listed: Iterable[V], version: int) -> None:
        """Replace the content by a complete list as of `version`; objects not in it were deleted."""
        names: set[Key] = set()
        for new in listed:
            names.add(new.metadata.key)
            self.upsert(new)
        for key, old in list(self._objects.items()):
            # A version newer than the list is from one of our own writes.
            if key not in names and old.metadata.version <= version:
                self.forget(key, old.metadata.uid, version)

    def _add_tombstone(self, uid: str, version: int) -> None:
        self._tombstones[uid] = max(version, self._tombstones.get(uid, -1))
        self._tombstones.move_to_end(uid)
        if len(self._tombstones) > self.max_tombstones:
            self._tombstones.popitem(last=False)

    def _notify(self, old: V | None, new: V | None) -> None:
        if self._on_change is not None:
            self._on_change(old, new)
