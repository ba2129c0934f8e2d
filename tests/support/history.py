"""What happened to objects, in the order in which the API server saw it.

Timestamps have a grain of a second; the order of a watch has none. It is read afterwards, from the
version at which the test began, so that nothing needs to run beside the test.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from localcluster.credentials import ADMIN
from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from tests.support.team import Team

Json = dict[str, Any]


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
    """All changes of a namespace from when this was made until it is first asked about a kind."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._known: dict[Resource, list[Change]] = {}
        listed: Json = team.cluster.api.get(team.path(names.PODS) + "?limit=1")
        self._since: str = listed["metadata"]["resourceVersion"]

    def of(self, resource: Resource) -> list[Change]:
        """The changes of all objects of a kind.

        Raises:
            AssertionError: The API server does not tell all of them.
        """
        if resource not in self._known:
            self._known[resource] = self._all(resource)
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

    def _all(self, resource: Resource) -> list[Change]:
        now: Json = self._team.cluster.api.get(self._team.path(resource))
        # Nothing says when a watch has told all, but it ends by itself; on a busy machine too soon.
        for seconds in (1, 5, 25):
            changes = list(self._read(resource, int(now["metadata"]["resourceVersion"]), seconds))
            if self._leads_to(now, changes):
                return changes
        told = [(change.kind, change.name, change.number) for change in changes]
        raise AssertionError(f"the changes of {resource.plural} do not lead to what is there: {told}")

    def _leads_to(self, now: Json, changes: list[Change]) -> bool:
        """Whether whatever is there and has changed since is there by the last of its changes."""
        there = {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in now["items"]}
        since = {name: version for name, version in there.items() if version > int(self._since)}
        last = {change.name: change for change in changes}
        return since == {name: one.number for name, one in last.items() if one.kind != "DELETED"}

    def _read(self, resource: Resource, until: int, seconds: int) -> Iterator[Change]:
        query = {"watch": "1", "resourceVersion": self._since, "timeoutSeconds": str(seconds)}
        cluster = self._team.cluster
        url = f"{cluster.server_url}{self._team.path(resource)}?{urlencode(query)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {cluster.token(ADMIN)}"})
        trust = ssl.create_default_context(cafile=str(cluster.authority))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with contextlib.closing(opener.open(request, timeout=60)) as answer:
            for line in answer:
                event = json.loads(line)
                assert event["type"] != "ERROR", f"the history of {resource.plural} is not there: {event}"
                number = int(event["object"]["metadata"]["resourceVersion"])
                if number > until:
                    return
                yield Change(number, event["type"], event["object"])
