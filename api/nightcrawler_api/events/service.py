"""Use cases of event streams: follow what changes."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from fastapi.sse import format_sse_event

from nightcrawler_api.auth.guard import Guard, Seen
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import IdentityUnavailable
from nightcrawler_api.executions.presenter import named, row_of_workflow
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import owner_of
from nightcrawler_api.state.journal import Entry, Journal
from nightcrawler_api.state.protection import Protection
from nightcrawler_api.workflows.presenter import row
from nightcrawler_crds import clock
from nightcrawler_crds.names import WORKFLOWS

_COALESCE_SECONDS: Final = 0.25
"""Changes of one object within this time are one event."""
_AT_ONCE: Final = 200
_IDLE_SECONDS: Final = 3600.0
_RETRY_MILLISECONDS: Final = (1_000, 5_000)
"""When a client connects again; at random, so that all clients of a replica do not come at once."""
_ID: Final = re.compile(r"([0-9a-f]{8})-(\d{1,18})")


class EventService:
    """Event streams from the journal of changes."""

    def __init__(self, cluster: ClusterCache, guard: Guard, *, default_user: str) -> None:
        self._cluster = cluster
        self._guard = guard
        self._default_user = default_user

    async def check(self, caller: Caller) -> None:
        """Raise `IdentityUnavailable` if it cannot be found out now what a caller sees."""
        await self._guard.seen(caller, Operation.FOLLOW_CHANGES)

    async def follow(
        self, caller: Caller, last_event_id: str | None, workflow: str | None
    ) -> AsyncGenerator[bytes, None]:
        """Events in the wire's format: what has changed after an event, then what changes, if it is seen.

        It begins with `resync` if what has changed since is not known: there was no last event, it is too
        long ago, or another process sent it. A client that is too slow gets `resync` too.
        """
        journal = self._cluster.journal
        only = None if workflow is None else self._guard.ids.key(workflow)
        position = _position(journal, last_event_id)
        if position is None:
            position = journal.last
            yield _resync(journal)
        while True:
            entries = journal.since(position, _AT_ONCE)
            if entries is None:
                position = journal.last
                yield _resync(journal)
            elif entries:
                try:
                    seen = await self._guard.seen(caller, Operation.FOLLOW_CHANGES)
                except IdentityUnavailable:
                    return  # it is answered why to the client that connects again
                chosen = [e for e in entries if only is None or (e.key[0], e.workflow) == only]
                events = b"".join(self._for(entry, seen, position) for entry in chosen)
                position = entries[-1].number
                if events:
                    yield events
            if entries is None or len(entries) < _AT_ONCE:
                await journal.wait(position, _IDLE_SECONDS)
                await asyncio.sleep(_COALESCE_SECONDS)

    def _for(self, entry: Entry, seen: Seen, position: int) -> bytes:
        """An entry as an event for who sees some, and has had all up to a position; else empty."""
        if seen is None or self._is_seen(entry, seen):
            return self._rendered(entry)
        if any(number > position and before in seen for before, number in entry.before):
            # To this caller it is gone, whether it is there or not.
            return self._format("workflowDeleted", {"id": self._guard.ids.of(*entry.key)}, entry.number)
        return b""

    def _is_seen(self, entry: Entry, seen: frozenset[Protection]) -> bool:
        """Whether what an entry is about now is of these protections."""
        namespace, name = entry.key
        index = self._cluster.index
        workflow = index.workflow((namespace, entry.workflow))
        if entry.kind != WORKFLOWS.plural and (run := index.runs.run(namespace, name)) is not None:
            return run.protection in seen
        if workflow is not None:
            return workflow.protection in seen
        if entry.kind == WORKFLOWS.plural:
            return False
        # Run and workflow are deleted: callers who could see the workflow when it was.
        known = self._cluster.journal.workflow((namespace, entry.workflow))
        return known is not None and bool(known.before) and known.before[-1][0] in seen

    def _rendered(self, entry: Entry) -> bytes:
        """An entry as an event with the current state of its object; the same for all who see it."""
        if not entry.rendered:
            name, data = self._event(entry)
            entry.rendered = self._format(name, self._guard.ids.shown(data, entry.key[0]), entry.number)
        return entry.rendered

    def _format(self, name: str, data: Any, number: int) -> bytes:
        text = msgspec.json.encode(data).decode()
        return format_sse_event(event=name, data_str=text, id=_id(self._cluster.journal, number))

    def _event(self, entry: Entry) -> tuple[str, Any]:
        namespace, name = entry.key
        index = self._cluster.index
        workflow = index.workflow((namespace, entry.workflow))
        if entry.kind == WORKFLOWS.plural:
            return ("workflow", row(workflow)) if workflow else ("workflowDeleted", {"id": name})
        execution = index.runs.get(namespace, name) or entry.archived
        if execution is None:
            return "executionDeleted", {"id": name, "workflowId": entry.workflow}
        called = named(workflow, owner_of(execution))
        return "execution", row_of_workflow(execution, called, self._default_user, clock.utcnow())


def _position(journal: Journal, last_event_id: str | None) -> int | None:
    found = _ID.fullmatch(last_event_id or "")
    return int(found[2]) if found and found[1] == journal.name else None


def _resync(journal: Journal) -> bytes:
    retry = random.randint(*_RETRY_MILLISECONDS)  # noqa: S311 - it spreads load, and protects nothing
    return format_sse_event(event="resync", data_str="{}", id=_id(journal, journal.last), retry=retry)


def _id(journal: Journal, number: int) -> str:
    return f"{journal.name}-{number}"
