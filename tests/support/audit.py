"""The API server's audit log, for tests that count requests or measure time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcluster.credentials import OPERATOR
from tests.support.team import Team


@dataclass(frozen=True)
class Request:
    """One answered request; `at` is when it was received, to the microsecond."""

    user: str
    verb: str
    resource: str
    subresource: str
    name: str
    status: int
    at: datetime

    @property
    def what(self) -> str:
        """Such as `patch workflowexecutions/status`."""
        return f"{self.verb} {self.resource}" + (f"/{self.subresource}" if self.subresource else "")


class Audit:
    """The requests in a team's namespace."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def requests(self, user: str = OPERATOR) -> list[Request]:
        """All requests of a user so far; by default the operator's."""
        return [request for request in self._all() if request.user == user]

    def counts(self, user: str = OPERATOR, name: str = "") -> Counter[str]:
        """How often a user did what; only to the object of this name if one is given."""
        return Counter(r.what for r in self.requests(user) if name in ("", r.name))

    def made(self, name: str) -> datetime:
        """When the creation of a Job, or of a Pod, was first requested; a Job and its Pod have one name."""
        return min(r.at for r in self._all() if r.verb == "create" and r.name == name and r.status == 201)

    def _all(self) -> Iterator[Request]:
        for line in self._team.cluster.audit_log.read_text().splitlines():
            # The server may be in the middle of the last line.
            if not line.endswith("}") or self._team.namespace not in line:
                continue
            entry: dict[str, Any] = json.loads(line)
            about: dict[str, str] = entry.get("objectRef", {})
            if about.get("namespace") == self._team.namespace and entry["stage"] == "ResponseComplete":
                yield Request(
                    user=entry["user"]["username"],
                    verb=entry["verb"],
                    resource=about["resource"],
                    subresource=about.get("subresource", ""),
                    name=about.get("name", ""),
                    status=entry["responseStatus"]["code"],
                    at=datetime.fromisoformat(entry["requestReceivedTimestamp"]),
                )
