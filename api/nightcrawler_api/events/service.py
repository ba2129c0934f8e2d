"""Use cases of event streams: follow what changes."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from fastapi.sse import format_sse_event

from nightcrawler_api.caller import Caller
from nightcrawler_api.executions.presenter import named, row_of_workflow
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import owner_of
from nightcrawler_api.state.journal import Entry, Journal
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

    def __init__(self, cluster: ClusterCache, *, default_user: str) -> None:
        self._cluster = cluster
        self._default_user = default_user

    async def follow(
        self, caller: Caller, last_event_id: str | None, workflow: str | None
    ) -> AsyncGenerator[bytes, None]:
        """Events in the wire's format: what has changed after an event, then what changes.

        It begins with `resync` if what has changed since is not known: there was no last event, it is too
        long ago, or another process sent it. A client that is too slow gets `resync` too.
        """
        journal = self._cluster.journal
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
                position = entries[-1].number
                chosen = [e for e in entries if workflow is None or e.workflow == workflow]
                if events := b"".join(map(self._rendered, chosen)):
                    yield events
            if entries is None or len(entries) < _AT_ONCE:
                await journal.wait(position, _IDLE_SECONDS)
                await asyncio.sleep(_COALESCE_SECONDS)

    def _rendered(self, entry: Entry) -> bytes:
        """An entry as an event with the current state of its object; the same for all callers."""
        if not entry.rendered:
            name, data = self._event(entry)
            text = msgspec.json.encode(data).decode()
            entry.rendered = format_sse_event(
                event=name, data_str=text, id=_id(self._cluster.journal, entry.number)
            )
        return entry.rendered

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
