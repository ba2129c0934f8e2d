"""What we know of the objects of one kind, kept newest-first by resourceVersion.

Three sources write to a cache: a watch, a re-list, and the answers to our own writes
(so that a reader sees its own writes before the watch tells of them). They arrive in
any order; the rule is that an object is only ever replaced by a newer one of itself,
and that what was seen to end does not come back by an older message.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

_GRAVES: Final = 20_000


class _Meta(Protocol):
    @property
    def key(self) -> Key: ...
    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> int: ...


class HasMeta(Protocol):
    """What a cache needs to know of an object."""

    @property
    def metadata(self) -> _Meta:
        """Name, UID and version."""
        ...


V = TypeVar("V", bound=HasMeta)
OnChange = Callable[[V | None, V | None], None]
"""Called with the object before and after; None where it is not there."""


class Cache(Generic[V]):
    """Objects by namespace and name; changes are told to `on_change`, in order, synchronously."""

    def __init__(self, on_change: OnChange[V] | None = None) -> None:
        self._objects: dict[Key, V] = {}
        # uid -> the newest version at which the object was seen to be gone.
        self._graves: OrderedDict[str, int] = OrderedDict()
        self._on_change = on_change

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[V]:
        return iter(self._objects.values())

    def get(self, key: Key) -> V | None:
        """The object as last heard of."""
        return self._objects.get(key)

    def upsert(self, new: V) -> bool:
        """Take an object in; False if something newer is known already."""
        meta = new.metadata
        if self._graves.get(meta.uid, -1) >= meta.version:
            return False
        old = self._objects.get(meta.key)
        if old is not None and old.metadata.uid == meta.uid and old.metadata.version >= meta.version:
            return False
        if old is not None and old.metadata.uid != meta.uid:
            if old.metadata.version > meta.version:
                return False
            self._bury(old.metadata.uid, old.metadata.version)
            self._tell(old, None)
            old = None
        self._objects[meta.key] = new
        self._tell(old, new)
        return True

    def forget(self, key: Key, uid: str, version: int) -> bool:
        """Take an object out because it is gone, or has left the selection, as of `version`."""
        self._bury(uid, version)
        old = self._objects.get(key)
        if old is None or old.metadata.uid != uid or old.metadata.version > version:
            return False
        del self._objects[key]
        self._tell(old, None)
        return True

    def replace_all(self, listed: Iterable[V], version: int) -> None:
        """Take in a complete list as of `version`; what it does not name is gone."""
        names: set[Key] = set()
        for new in listed:
            names.add(new.metadata.key)
            self.upsert(new)
        for key, old in list(self._objects.items()):
            # Something newer than the list came from one of our own writes: the list cannot know it.
            if key not in names and old.metadata.version <= version:
                self.forget(key, old.metadata.uid, version)

    def _bury(self, uid: str, version: int) -> None:
        self._graves[uid] = max(version, self._graves.get(uid, -1))
        self._graves.move_to_end(uid)
        if len(self._graves) > _GRAVES:
            self._graves.popitem(last=False)

    def _tell(self, old: V | None, new: V | None) -> None:
        if self._on_change is not None:
            self._on_change(old, new)
