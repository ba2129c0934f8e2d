"""Decodes objects of the API server to views, and handles those that cannot be decoded.

Objects outlive the version of the software that wrote them, and anyone may write a status, so a stored
object may have a field of an unexpected type. The API server validates Kubernetes' own kinds and all
metadata; this concerns `spec` and `status` of our kinds.

Such an object must be treated neither as unchanged nor as deleted: a Pod or run that is taken for
deleted could be started twice. It depends on the reader:

- The status of a Workflow or an Environment, which only the operator writes, is read as empty, and then
  overwritten.
- The facade removes the object from its cache, and answers requests for it with an error.
- The operator keeps its last view of Jobs, Pods and nodes; one that it could never decode counts as
  existing and unfinished. It keeps an execution too, but does not reconcile it until it can be decoded.
- Lists that are used to find out what does not exist raise an error instead of being incomplete.

Each such object is logged once, with the field that cannot be decoded, and counted in the metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec

from nightcrawler_crds.errors import Unavailable, Unreadable
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.views import EnvironmentView, WorkflowView
from nightcrawler_crds.names import Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

_MAY_BE_EMPTY: Final[Mapping[Any, tuple[str, ...]]] = {
    WorkflowView: ("status",),
    EnvironmentView: ("status",),
}
"""The parts of a view that may be read as empty; see above for why there are only these."""


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
    """Decode an object, or a page of a list.

    Raises:
        Unreadable: It is JSON, but does not fit the view.
        Unavailable: It is not JSON, so it is not from the API server.
    """
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, RecursionError) as error:
        return _in_part(_builtins(data), kind, error)
    except msgspec.DecodeError as error:
        raise Unavailable(f"what answers in the API server's place sends no JSON: {error}") from error


def from_body(body: Mapping[str, Any], kind: type[T]) -> T:
    """Convert an object that is already parsed; raises `Unreadable`."""
    try:
        return msgspec.convert(body, kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        return _in_part(body, kind, error)


def stand_in(data: bytes | msgspec.Raw, kind: type[T]) -> T | None:
    """A view with an object's metadata only; None if that cannot be decoded either.

    For kinds whose other fields have defaults that mean that nothing has happened yet.
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
    """The view without the parts that may be empty; raises `Unreadable`."""
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
        f"{_name_of(body)} cannot be read: {_place(error)}; it was written by another version or by "
        "hand: correct that field, or delete the object",
        key=(meta.namespace, meta.name),
        uid=meta.uid,
        version=version,
    )


def _name_of(body: Any) -> str:
    meta = body["metadata"]
    where = f" in namespace {meta['namespace']}" if meta.get("namespace") else ""
    return f"{body.get('kind') or 'the object'} {meta.get('name')}{where}"


def _place(error: Exception) -> str:
    """The message of msgspec with the path first: `status.phase: Expected `str`, got `int``."""
    what, at, place = str(error).partition(" - at `$.")
    return f"{place.removesuffix('`')}: {what}" if at else what


class Unreadables:
    """The objects of one kind that cannot be decoded at present."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._known: dict[Key, Unreadable] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def note(self, error: Unreadable) -> None:
        """Record one; it is logged unless it was logged before for the same reason."""
        known = self._known.get(error.key) if error.key is not None else None
        if known is None or (known.uid, known.message) != (error.uid, error.message):
            log.warning("of the %s, %s", self._resource.plural, error.message)
        if error.key is not None:
            self._known[error.key] = error

    def clear(self, key: Key, uid: str, version: int) -> None:
        """An object was decoded at a version, or deleted; a record of a later version stays."""
        known = self._known.get(key)
        if known is not None and (known.uid != uid or known.version <= version):
            del self._known[key]

    def retain(self, keys: Collection[Key]) -> None:
        """Keep only these; the others were decoded or deleted."""
        for key in [key for key in self._known if key not in keys]:
            del self._known[key]
