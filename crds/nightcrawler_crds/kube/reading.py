"""From what the API server sends to views, and what becomes of an object that is no such view.

Objects outlive the versions of the software that wrote them, and anybody may write a status. So a
field may have another type than ours, in an object that the API server keeps and tells of. Of
Kubernetes' own kinds and of all metadata the API server checks the types itself; what is left are
`spec` and `status` of our kinds.

What cannot be read must not pass for what it was before, nor for gone: whoever takes a Pod or a run
for gone may start it a second time. What is right differs by who reads:

- A Workflow's status, which the operator only writes, is read as empty, and so written anew.
- The facade forgets the object, and answers that it cannot be read to whoever asks for it by name.
- The operator keeps what it knew of Jobs, Pods and nodes, and takes one that it never could read for
  there and not ended. It keeps an execution too, but decides nothing for it until it can be read.
- Whoever asks for a list in order to learn what is not there gets an error instead of a part of it.

Each such object is logged once, with the place in it that cannot be read, and counted in the metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec

from nightcrawler_crds.errors import Unavailable, Unreadable
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.names import Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

_MAY_BE_EMPTY: Final[Mapping[Any, tuple[str, ...]]] = {WorkflowView: ("status",)}
"""Parts of views without which these can do; see above for why so few."""


class _Identity(msgspec.Struct, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"


class _Named(msgspec.Struct):
    metadata: _Identity


class _WithMeta(msgspec.Struct):
    metadata: Meta


def from_json(data: bytes | msgspec.Raw, kind: type[T], decoder: msgspec.json.Decoder[T]) -> T:
    """A view of an object, or of a list's page.

    Raises:
        Unreadable: It is JSON, but no such view.
        Unavailable: It is not JSON: something other than the API server has answered.
    """
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, RecursionError) as error:
        return _in_part(_builtins(data), kind, error)
    except msgspec.DecodeError as error:
        raise Unavailable(f"what answers in the API server's place sends no JSON: {error}") from error


def from_body(body: Mapping[str, Any], kind: type[T]) -> T:
    """The same for an object that is decoded already; raises `Unreadable`."""
    try:
        return msgspec.convert(body, kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        return _in_part(body, kind, error)


def stand_in(data: bytes | msgspec.Raw, kind: type[T]) -> T | None:
    """A view with an object's metadata and nothing else; None if not even that can be read.

    For kinds all of whose other fields have defaults that say that nothing has happened yet.
    """
    try:
        meta = msgspec.json.decode(data, type=_WithMeta, strict=False).metadata
    except (msgspec.DecodeError, RecursionError):
        return None
    return kind(metadata=meta)  # type: ignore[call-arg]


def _builtins(data: bytes | msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _in_part(body: Any, kind: type[T], error: Exception) -> T:
    """What is left of an object without the parts that may be empty; raises `Unreadable`."""
    parts = _MAY_BE_EMPTY.get(kind, ())
    if parts and isinstance(body, Mapping):
        try:
            rest = {field: value for field, value in body.items() if field not in parts}
            view = msgspec.convert(rest, kind, strict=False)
        except (msgspec.ValidationError, RecursionError):
            pass
        else:
            log.warning("the %s of %s is read as empty: %s", *parts, _name_of(body), _place(error))
            return view
    raise _unreadable(body, error)


def _unreadable(body: Any, error: Exception) -> Unreadable:
    try:
        meta = msgspec.convert(body, _Named, strict=False).metadata
        version = int(meta.resource_version)
    except (msgspec.ValidationError, RecursionError, ValueError):
        return Unreadable(f"an object cannot be read: {_place(error)}")
    return Unreadable(
        f"{_name_of(body)} cannot be read: {_place(error)}; another version has written it, or somebody by "
        "hand: put that field right, or delete the object",
        key=(meta.namespace, meta.name),
        uid=meta.uid,
        version=version,
    )


def _name_of(body: Any) -> str:
    meta = body["metadata"]
    where = f" in namespace {meta['namespace']}" if meta.get("namespace") else ""
    return f"{body.get('kind') or 'the object'} {meta.get('name')}{where}"


def _place(error: Exception) -> str:
    """What msgspec found, with the place in front: `status.phase: Expected `str`, got `int``."""
    what, at, place = str(error).partition(" - at `$.")
    return f"{place.removesuffix('`')}: {what}" if at else what


class Unreadables:
    """The objects of one kind that cannot be read as they are now."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._known: dict[Key, Unreadable] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def note(self, error: Unreadable) -> None:
        """Take down one of them; it is logged unless it has been already, for the same reason."""
        known = self._known.get(error.key) if error.key is not None else None
        if known is None or (known.uid, known.message) != (error.uid, error.message):
            log.warning("of the %s, %s", self._resource.plural, error.message)
        if error.key is not None:
            self._known[error.key] = error

    def clear(self, key: Key, uid: str, version: int) -> None:
        """An object was read at a version, or is gone as of it; what was noted later stays."""
        known = self._known.get(key)
        if known is not None and (known.uid != uid or known.version <= version):
            del self._known[key]

    def retain(self, keys: Collection[Key]) -> None:
        """Of all there are, only these can still not be read."""
        for key in [key for key in self._known if key not in keys]:
            del self._known[key]
