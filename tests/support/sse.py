"""A client of server-sent events, as the HTML standard has it: it reads, disconnects, and resumes by id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Event:
    """An event that has arrived."""

    name: str
    data: Any
    id: str


class EventSource:
    """A connection after another; `last_id` goes from one to the next."""

    def __init__(self, http: httpx.Client, path: str, **query: str) -> None:
        self._http = http
        self._path = path
        self._query = query
        self.last_id = ""
        self.status = 0

    def use(self, http: httpx.Client) -> None:
        """Connect by this client from now on."""
        self._http = http

    def events(self) -> Iterator[Event]:
        """Connect, and yield what comes until the server ends it; leaving the loop closes the connection."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with self._http.stream("GET", self._path, params=self._query, headers=headers) as response:
            self.status = response.status_code
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    self.last_id = fields.get("id", self.last_id)
                    yield Event(fields.get("event", "message"), json.loads(fields["data"]), self.last_id)
                    fields = {}
