"""Makes the record of each request that changes something, is refused, or reads what is to be audited.

It stands before authentication, so that what is refused there has a record too; and it makes the record
before the first byte of the response goes out, so that nobody learns of a change that has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any, Final

import msgspec
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightcrawler_api.audit.actions import Asked, Operations, is_write
from nightcrawler_api.audit.record import UNKNOWN, Record, Subject
from nightcrawler_api.audit.recorder import Recorder
from nightcrawler_api.audit.trail import TRAIL, Trail
from nightcrawler_api.auth.decisions import place_of
from nightcrawler_api.auth.operations import operation_of
from nightcrawler_api.caller import CALLER, Caller
from nightcrawler_api.ids import Ids
from nightcrawler_api.requestids import new_id
from nightcrawler_crds import clock
from nightcrawler_crds.correlation import REQUEST_ID

_REFUSALS_OF_READS: Final = (401, 403)
_UNANSWERED: Final = "the request was not answered: its client left, or the facade was stopped"
_NAMED: Final = 1_000
_SECRET: Final = re.compile(r"/(env|parameters)(/|$)")
_HIDDEN: Final = "the caller may not see it, and got the answer: {}"
_QUOTED: Final = ", near "
"""After it, a body that cannot be parsed is quoted."""


class Audited:
    """Records the requests of the API.

    Args:
        app: The application.
        recorder: Takes the records.
        operations: Those of the application.
        ids: The ids of the objects that requests name.
        knows: Whether there may be anything in a namespace.
        audits_reads: Whether reads of the workflow of an object are recorded.
    """

    def __init__(
        self,
        app: ASGIApp,
        recorder: Recorder,
        operations: Operations,
        ids: Ids,
        *,
        knows: Callable[[str], bool],
        audits_reads: Callable[[Subject], bool],
    ) -> None:
        self._app = app
        self._recorder = recorder
        self._operations = operations
        self._ids = ids
        self._knows = knows
        self._audits_reads = audits_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and record it if it is to be."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        trail = Trail()
        TRAIL.set(trail)
        held: Message | None = None
        answered = False

        async def send_recorded(message: Message) -> None:
            nonlocal held, answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                if message["status"] >= 400 and self._is_recorded(scope, message["status"], trail):
                    held = message  # until its body says why
                    return
                if message["status"] < 400 and self._is_recorded(scope, message["status"], trail):
                    self._record(scope, trail, message["status"], trail.remark)
            elif held is not None:
                self._record(scope, trail, held["status"], _reason(message))
                start, held = held, None
                await send(start)
            await send(message)

        try:
            await self._app(scope, receive, send_recorded)
        finally:
            if not answered and self._is_recorded(scope, 500, trail):
                self._record(scope, trail, 500, _UNANSWERED)

    def _is_recorded(self, scope: Scope, status: int, trail: Trail) -> bool:
        asked = self._asked(scope)
        if trail.changes or is_write(scope["method"], asked, scope["query_string"]):
            return True
        if status >= 400:
            return status in _REFUSALS_OF_READS or trail.hidden
        subject = trail.read or asked.subject(self._ids, self._knows)
        return bool(subject.workflow) and self._audits_reads(subject)

    def _asked(self, scope: MutableMapping[str, Any]) -> Asked:
        route = scope.get("route")
        # Of a request whose method no route has, it is one that only its path fits.
        if isinstance(route, APIRoute) and scope["method"] in (route.methods or ()):
            return Asked(operation_of(route.endpoint), scope.get("path_params") or {})
        return self._operations.find(scope["method"], scope["path"])

    def _record(self, scope: Scope, trail: Trail, status: int, reason: str) -> None:
        caller: Caller | None = scope.get(CALLER)
        asked = self._asked(scope)
        subject = trail.read or asked.subject(self._ids, self._knows)
        record = Record(
            id=new_id(),
            time=clock.utcnow(),
            caller=caller.name if caller else UNKNOWN,
            caller_id=caller.id if caller else "",
            roles=_roles(caller, subject) if caller else (),
            action=asked.action or f"{scope['method']} {scope['path']}",
            subject=subject,
            # What was done before it failed was done.
            allowed=status < 400,
            status=status,
            reason=_HIDDEN.format(reason) if trail.hidden and status == 404 else reason,
            request_id=REQUEST_ID.get(),
            marks=tuple(change.mark for change in trail.changes),
        )
        self._recorder.take(self._with_changes(record, trail))

    def _with_changes(self, record: Record, trail: Trail) -> Record:
        if not trail.changes:
            return record
        subjects = [change.subject for change in trail.changes]
        first = subjects[0]
        if len(trail.changes) == 1:
            [change] = trail.changes
            return replace(record, subject=first).with_states(change.old, change.new)
        together = all(subject.namespace == first.namespace for subject in subjects)
        several = Subject(first.kind, first.namespace if together else "")
        named = [self._ids.of(subject.namespace, subject.name) for subject in subjects[:_NAMED]]
        return replace(record, subject=several).with_states(None, {"names": named})


def _roles(caller: Caller, subject: Subject) -> tuple[str, ...]:
    """The roles of a caller where the object is."""
    place = place_of(caller, subject.namespace)
    return tuple(sorted(place.roles if place else caller.roles))


class _Error(msgspec.Struct):
    pointer: str = ""


class _Problem(msgspec.Struct):
    detail: str = ""
    errors: tuple[_Error, ...] = ()


def _reason(message: Message) -> str:
    """The detail of a problem, without what it quotes of values that may be secret."""
    try:
        problem = msgspec.json.decode(message.get("body", b""), type=_Problem)
    except ValueError:
        return ""
    if any(_SECRET.search(error.pointer) for error in problem.errors):
        return f"refused: {', '.join(error.pointer for error in problem.errors)}"
    return problem.detail.partition(_QUOTED)[0]
