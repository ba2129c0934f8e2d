"""An API server for one Lease, in memory, whose answers a test can delay, lose or refuse.

It is for tests of timing, which a real one could not answer to the second;
`tests/integration/test_election.py` has the same elector on the real one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from nightcrawler_crds import errors
from nightcrawler_crds.election.death import Holder
from nightcrawler_crds.names import ANNOTATION_HOLDER, LEASES, Resource
from tests.support.merging import merge, without_nulls

T = TypeVar("T")


class LeaseServer:
    """What it holds is `lease`, or None; `requests` counts by verb."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.requests: Counter[str] = Counter()
        self.refusal: errors.ApiError | None = None
        self._version = 0

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec

    @property
    def holder(self) -> str | None:
        return self.spec.get("holderIdentity") if self.lease else None

    @property
    def annotation(self) -> str:
        """The annotation that identifies the holder."""
        annotations = self.lease["metadata"].get("annotations", {}) if self.lease else {}
        return str(annotations.get(ANNOTATION_HOLDER, ""))

    def edit(self, **spec: Any) -> None:
        """Change the Lease as another client would."""
        assert self.lease is not None
        self._store({**self.lease, "spec": {**self.spec, **spec}})

    def _store(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        metadata = {"uid": f"uid-{self._version}", **lease["metadata"], "resourceVersion": str(self._version)}
        self.lease = {**lease, "metadata": metadata}
        return self.lease

    def answer(self, verb: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Do what a request says, as the API server would."""
        self.requests[verb] += 1
        if self.refusal is not None:
            raise self.refusal
        if verb == "POST" and body is not None:
            return self.make(body)
        if self.lease is None:
            raise errors.NotFound("leases not found")
        return self._merge(self.lease, body) if body is not None else self.lease

    def make(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.lease is not None:
            raise errors.AlreadyExists("leases already exists")
        return self._store(without_nulls(body))

    def _merge(self, there: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        if body["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"]:
            raise errors.Conflict("the object has been modified")
        return self._store(merge(there, body))


class LeaseStore:
    """The store of one replica; its connection can hang, lose answers or delay requests."""

    def __init__(self, server: LeaseServer, *, delay: float = 0.0) -> None:
        self.delay = delay
        """Seconds for a request to reach the server, and as many for its answer."""
        self.loses_answers = False
        self.arrives_late: float | None = None
        """After how many seconds a request that was given up on its way reaches the server; None: never."""
        self._server = server
        self._open = asyncio.Event()
        self._open.set()

    def hang(self) -> None:
        """Let requests hang from now on."""
        self._open.clear()

    def recover(self) -> None:
        self._open.set()

    async def reach_server(self) -> None:
        """A request reaches the server."""
        await self._open.wait()
        await asyncio.sleep(self.delay)

    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        return await self._ask("GET", resource, None, kind)

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any], kind: type[T]) -> T:
        return await self._ask("POST", resource, body, kind)

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: dict[str, Any], kind: type[T]
    ) -> T:
        return await self._ask("PATCH", resource, body, kind)

    async def _ask(self, verb: str, resource: Resource, body: dict[str, Any] | None, kind: type[T]) -> T:
        assert resource is LEASES
        try:
            await self.reach_server()
        except asyncio.CancelledError:
            if self.arrives_late is not None:
                asyncio.get_running_loop().call_later(self.arrives_late, self._arrive, verb, body)
            raise
        try:
            answer = self._server.answer(verb, body)
        finally:
            if self.loses_answers:
                await asyncio.Event().wait()
            await asyncio.sleep(self.delay)
        return msgspec.convert(answer, kind, strict=False)

    def _arrive(self, verb: str, body: dict[str, Any] | None) -> None:
        with suppress(errors.ApiError):
            self._server.answer(verb, body)


class Witness:
    """Knows which holders are dead, as a test sets them; `dead` is the same set for all replicas."""

    def __init__(self, name: str, dead: set[str] | None = None, *, store: LeaseStore | None = None) -> None:
        self.own = Holder(name)
        self.asked = 0
        self._dead = dead if dead is not None else set()
        self._store = store

    def hang(self) -> None:
        """Hang from now on."""
        self._store = LeaseStore(LeaseServer())
        self._store.hang()

    async def why_dead(self, holder: Holder) -> str:
        """A reason for holders in the set; sends a request first, if there is a store."""
        self.asked += 1
        if self._store is not None:
            await self._store.reach_server()
        return "the test says so" if holder.identity in self._dead else ""
