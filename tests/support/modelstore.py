"""The operator's store on a model of the API server; the process can be killed at any write."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from typing_extensions import override

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.store import OnUnreadable, Store
from nightcrawler_crds.names import Resource
from nightcrawler_operator.effects.notifications.delivery import DeliveryError
from nightcrawler_operator.effects.traces.exporter import ExportError
from tests.support.modelserver import Json, ModelServer

T = TypeVar("T")
_NO_SERVER: Final = Connection(Identity("http://localhost"), "nobody")


class KilledError(Exception):
    """The process was killed at this request."""


@dataclass(frozen=True)
class Death:
    """Die at a write: the next one is 0.

    If it is `answered`, the server has carried it out; if it is `late`, it is still in flight, and arrives
    when the test says so, while the restarted process or another replica works already.
    """

    write: int
    answered: bool
    late: bool = False


class ModelStore(Store):
    """A store on the model; dies at the write that the test names, and fails every request after it."""

    def __init__(self, server: ModelServer) -> None:
        super().__init__(_NO_SERVER)
        self._server = server
        self.death: Death | None = None
        self._writes = 0
        self._dead = False

    def live_until(self, death: Death | None) -> None:
        """Count writes from now on, and die at this one; None: never."""
        self.death, self._writes = death, 0

    def _read(self, call: Callable[[], T]) -> T:
        if self._dead:
            raise KilledError
        return call()

    def _write(self, call: Callable[[], T]) -> T:
        if self._dead:
            raise KilledError
        due = self.death is not None and self._writes == self.death.write
        self._writes += 1
        with self._server.asked_by_the_operator():
            if due and self.death is not None:
                self._dead = True
                if self.death.late:
                    self._server.in_flight.append(call)
                elif self.death.answered:
                    with contextlib.suppress(errors.ApiError, DeliveryError, ExportError):
                        call()
                raise KilledError
            return call()

    @override
    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        return self._read(lambda: from_body(self._server.get(resource, (namespace, name)), kind))

    @override
    async def create(self, resource: Resource, namespace: str, body: Any, kind: type[T], **_: Any) -> T:
        return self._write(lambda: from_body(self._server.create(resource, body), kind))

    @override
    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        kind: type[T],
        *,
        subresource: str = "",
        timeout: float | None = None,
    ) -> T:
        wire = msgspec.json.decode(msgspec.json.encode(body))
        where = (namespace, name)
        return self._write(lambda: from_body(self._server.patch(resource, where, wire, subresource), kind))

    @override
    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: str = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period: int | None = None,
    ) -> None:
        self._write(lambda: self._server.delete(resource, (namespace, name), uid, grace_period))

    @override
    async def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str,
        version: str,
        propagation: str = "Background",
    ) -> None:
        def call() -> None:
            then = self._server.at_version(resource, int(version))
            for where in [w for w, b in then.items() if w[0] == namespace and _selected(b, label_selector)]:
                with contextlib.suppress(errors.NotFound):
                    self._server.delete(resource, where)

        self._write(call)

    @override
    async def list_with_version(
        self,
        resource: Resource,
        namespace: str,
        kind: type[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        on_unreadable: OnUnreadable | None = None,
    ) -> tuple[list[T], int]:
        if resource == names.EVENTS:
            return [], self._server.version
        all_ = self._read(lambda: list(self._server.of(resource).items()))
        there = [body for (where, _), body in all_ if namespace in ("", where)]
        there = [body for body in there if _has_none_of(body, field_selector)]
        found = [from_body(body, kind) for body in there if _selected(body, label_selector)]
        return found, self._server.version

    @override
    async def list_page(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing asks for pages but list_with_version")


def _has_none_of(body: Json, selector: str) -> bool:
    """Whether the phase of an object is none of those that `status.phase!=a,status.phase!=b` names."""
    phases = [part.removeprefix("status.phase!=") for part in selector.split(",") if part]
    return body.get("status", {}).get("phase") not in phases


def _selected(body: Json, selector: str) -> bool:
    """Whether an object has all of the labels `a=b,c=d`, or just has them where no value is asked for."""
    labels = body["metadata"].get("labels", {})
    wanted = [requirement.partition("=") for requirement in selector.split(",") if requirement]
    return all(labels.get(key) == value if equals else key in labels for key, equals, value in wanted)
