"""What has changed lately, for event streams: each object once, by its last change.

Every stream has a position in the journal and reads what came after it, when it can: so a stream that is slow
costs no memory of its own, changes that follow each other are coalesced, and a stream that reconnects goes on
where it was. Who falls behind the oldest entry has to read the current state.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.protection import Protection, Protections
from nightcrawler_api.state.statuses import execution_status
from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

_LIMIT: Final = 5_000


class Entry:
    """The last change of an object. `rendered` is for readers: what they made of it, empty after a change.

    Attributes:
        number: Its place in the journal.
        kind: The plural name of the kind.
        key: Namespace and name of the object.
        workflow: The name of its workflow.
        before: Of a workflow, the protections that it had lately and until which change: who saw it by one of
            them, and does not now, has to know that it is gone.
        archived: The last state of an execution that only the archive has by now.
    """

    __slots__ = ("archived", "before", "key", "kind", "number", "rendered", "workflow")

    def __init__(
        self, number: int, kind: str, key: Key, workflow: str, before: tuple[tuple[Protection, int], ...] = ()
    ) -> None:
        self.number = number
        self.before = before
        self.kind = kind
        self.key = key
        self.workflow = workflow
        self.rendered = b""
        self.archived: ExecutionView | None = None


class Journal:
    """The last changes of workflows and executions, in their order; a follower of the change hub.

    Attributes:
        name: Random, since the numbers of another process, or an earlier one, mean nothing here.
        last: The number of the last change.
    """

    def __init__(self, protections: Protections, limit: int = _LIMIT) -> None:
        self._protections = protections
        self.name = secrets.token_hex(4)
        self.last = 0
        self._limit = limit
        self._forgotten = 0
        self._entries: OrderedDict[tuple[str, Key], Entry] = OrderedDict()
        self._news = asyncio.Event()

    def follow(self, change: Change[Any]) -> None:
        """Note a change."""
        view: Any = change.new or change.old
        match change.kind:
            case WORKFLOWS.plural:
                self._note(change.kind, view.metadata.key, view.metadata.name, self._lost(change))
            case EXECUTIONS.plural:
                if change.new is None and "Archive" in view.metadata.annotations.done_duties:
                    # Lists still have it; who has not read of its last change yet shall.
                    if (known := self._entries.get((change.kind, view.metadata.key))) is not None:
                        known.archived = view
                    return
                workflow = view.spec.workflow_ref.name
                self._note(change.kind, view.metadata.key, workflow)
                if _word(change.old) != _word(change.new):
                    # The status of its workflow, and when that last ran, follow from it.
                    self._note(WORKFLOWS.plural, (view.metadata.namespace, workflow), workflow)
            case _:
                pass

    def workflow(self, key: Key) -> Entry | None:
        """The last change of a workflow, if it is not forgotten."""
        return self._entries.get((WORKFLOWS.plural, key))

    def since(self, number: int, most: int) -> list[Entry] | None:
        """Up to `most` entries after a number, oldest first; None if some are forgotten."""
        if not self._forgotten <= number <= self.last:
            return None
        newer: Iterator[Entry] = reversed(self._entries.values())
        found: list[Entry] = []
        for entry in newer:
            if entry.number <= number:
                break
            found.append(entry)
        return list(islice(reversed(found), most))

    async def wait(self, number: int, seconds: float) -> bool:
        """Wait until something comes after a number; False if nothing has in that time."""
        try:
            async with asyncio.timeout(seconds):
                while self.last <= number:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _lost(self, change: Change[Any]) -> Protection | None:
        """The protection that a workflow had until this change, if it has it no longer."""
        if change.old is None or change.old.metadata.deletion_timestamp:
            return None
        old = self._protections.of(change.old)
        new = change.new
        if new is None or new.metadata.deletion_timestamp:
            return old
        return None if self._protections.of(new) is old else old

    def _note(self, kind: str, key: Key, workflow: str, lost: Protection | None = None) -> None:
        self.last += 1
        known = self._entries.pop((kind, key), None)
        before = known.before if known else ()
        if lost is not None:
            before = (*(one for one in before if one[0] is not lost), (lost, self.last))
        self._entries[(kind, key)] = Entry(self.last, kind, key, workflow, before)
        if len(self._entries) > self._limit:
            _, oldest = self._entries.popitem(last=False)
            self._forgotten = oldest.number
        # Wakes those that wait now; later ones wait for the next change.
        self._news.set()
        self._news = asyncio.Event()


def _word(execution: ExecutionView | None) -> str | None:
    return None if execution is None or execution.metadata.deletion_timestamp else execution_status(execution)
