"""What happened to objects, in the order in which the API server saw it.

Timestamps have a grain of a second; the order of a watch has none. The changes are recorded while the test
runs: the API server is sure to keep them for 75 s only (`DefaultEventsHistoryWindow` of its storage), and on
a busy machine a test may take longer.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import aiohttp
import pytest

from localcluster.credentials import ADMIN
from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]

_KINDS: Final = (names.EXECUTIONS, names.JOBS, names.PODS)
_STARTS_WITHIN: Final = 30.0


@dataclass(frozen=True)
class Change:
    """One change: `kind` is ADDED, MODIFIED or DELETED, `number` its place among all changes."""

    number: int
    kind: str
    object: Json

    @property
    def name(self) -> str:
        name: str = self.object["metadata"]["name"]
        return name

    @property
    def uid(self) -> str:
        uid: str = self.object["metadata"]["uid"]
        return uid

    @property
    def step(self) -> str:
        """The step that a Job or Pod belongs to."""
        step: str = self.object["metadata"]["annotations"][names.ANNOTATION_STEP]
        return step

    @property
    def phase(self) -> str:
        """The phase of a Pod or an execution."""
        phase: str = self.object.get("status", {}).get("phase", "")
        return phase


class History:
    """All changes of a namespace's executions, Jobs and Pods, from when this was made until it is asked.

    It records in a thread of its own, which the fixture `histories_end` stops after the test.
    """

    _recording: ClassVar[list[History]] = []

    def __init__(self, team: Team) -> None:
        self._team = team
        self._known: dict[Resource, list[Change]] = {}
        self._recorded: dict[Resource, list[Change]] = {kind: [] for kind in _KINDS}
        self._broken: dict[Resource, str] = {}
        listed: Json = team.cluster.api.get(team.path(names.PODS) + "?limit=1")
        self._since: str = listed["metadata"]["resourceVersion"]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()
        self._recording.append(self)

    @classmethod
    def end_all(cls) -> None:
        """Stop recording."""
        while cls._recording:
            one = cls._recording.pop()
            one._loop.call_soon_threadsafe(one._stop.set)
            one._thread.join(_STARTS_WITHIN)
            assert not one._thread.is_alive(), "the recording of a history does not end"

    def of(self, resource: Resource) -> list[Change]:
        """The changes of all objects of a kind until it was first asked; those that come later are not added.

        Raises:
            AssertionError: The API server did not send all of them.
        """
        return self._known[resource] if resource in self._known else self.until_now(resource)

    def until_now(self, resource: Resource) -> list[Change]:
        """The changes of all objects of a kind until now, for instance to wait for one of them.

        Raises:
            AssertionError: The API server did not send all of them.
        """
        now: Json = self._team.cluster.api.get(self._team.path(resource))
        until = int(now["metadata"]["resourceVersion"])
        self._known[resource] = eventually(
            lambda: [change for change in tuple(self._recorded[resource]) if change.number <= until],
            until=lambda changes: self._leads_to(now, changes),
            what=f"all changes of {resource.plural} {self._broken.get(resource, '')}",
        )
        return self._known[resource]

    def first(self, resource: Resource, matches: Callable[[Change], bool]) -> Change:
        """The first change that matches.

        Raises:
            AssertionError: None does.
        """
        changes = self.of(resource)
        found = next((change for change in changes if matches(change)), None)
        assert found is not None, f"no such change among {[(c.kind, c.name, c.phase) for c in changes]}"
        return found

    def phases(self, execution: str) -> list[str]:
        """The phases of an execution one after the other, each once unless it came back."""
        seen: list[str] = []
        for change in self.of(names.EXECUTIONS):
            if change.name == execution and change.phase and change.phase != (seen or [""])[-1]:
                seen.append(change.phase)
        return seen

    def pod_made(self, step: str) -> int:
        """The place of the creation of a step's first Pod."""
        return self.first(names.PODS, lambda c: c.kind == "ADDED" and c.step == step).number

    def pod_ended(self, step: str) -> int:
        """The place of the end of a step's first Pod."""
        ended = ("Succeeded", "Failed")
        return self.first(names.PODS, lambda c: c.step == step and c.phase in ended).number

    def _leads_to(self, now: Json, changes: list[Change]) -> bool:
        """Whether the recorded changes lead to what is there now."""
        there = {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in now["items"]}
        since = {name: version for name, version in there.items() if version > int(self._since)}
        last = {change.name: change for change in changes}
        return since == {name: one.number for name, one in last.items() if one.kind != "DELETED"}

    # --- the recording -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._record())
        finally:
            self._loop.close()

    async def _record(self) -> None:
        trust = ssl.create_default_context(cafile=str(self._team.cluster.authority))
        headers = {"Authorization": f"Bearer {self._team.cluster.token(ADMIN)}"}
        connector = aiohttp.TCPConnector(ssl=trust)
        endless = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=endless) as session:
            tasks = [asyncio.create_task(self._follow(session, kind)) for kind in _KINDS]
            await self._stop.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # The session does not wait for its TLS connections to be closed.
        await asyncio.sleep(0.1)

    async def _follow(self, session: aiohttp.ClientSession, resource: Resource) -> None:
        """Record the changes of a kind, going on from the last one whenever the API server ends the watch."""
        url = f"{self._team.cluster.server_url}{self._team.path(resource)}"
        version = self._since
        while True:
            query = {"watch": "1", "allowWatchBookmarks": "1", "resourceVersion": version}
            try:
                async with session.get(url, params=query) as answer:
                    answer.raise_for_status()
                    async for line in _lines(answer):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            version = await self._after_a_gap(session, resource, int(version), event)
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            self._recorded[resource].append(
                                Change(int(version), event["type"], event["object"])
                            )
            except aiohttp.ClientError:
                # The API server is being restarted, or prepares the storage of a kind that was changed.
                await asyncio.sleep(0.1)

    async def _after_a_gap(
        self, session: aiohttp.ClientSession, resource: Resource, version: int, event: Json
    ) -> str:
        """Record what is there, after changes that the API server no longer sends; returns its version.

        An upgrade that changes a custom resource definition makes it forget the changes so far. Of the
        built-in kinds it remembers them all, and a gap is a failure.
        """
        if resource.group != names.GROUP:
            self._broken[resource] = f"(the watch ended with {event})"
            await self._stop.wait()
        url = f"{self._team.cluster.server_url}{self._team.path(resource)}"
        async with session.get(url) as answer:
            answer.raise_for_status()
            listed: Json = await answer.json()
        there = {item["metadata"]["name"]: item for item in listed["items"]}
        last = {change.name: change for change in self._recorded[resource]}
        now = listed["metadata"]["resourceVersion"]
        changed = [
            Change(number, "MODIFIED", item)
            for item in there.values()
            if (number := int(item["metadata"]["resourceVersion"])) > version
        ]
        gone = [
            Change(int(now), "DELETED", change.object)
            for name, change in last.items()
            if change.kind != "DELETED" and name not in there
        ]
        self._recorded[resource] += sorted([*changed, *gone], key=lambda change: change.number)
        return str(now)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a watch, however long they are."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


@pytest.fixture(autouse=True)
def histories_end() -> Iterator[None]:
    """Stop what a test's histories still record."""
    yield
    History.end_all()
