"""Callers of a facade that asks who they are: each a client with a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.support.facade import PROBLEM, Json, Served


class As:
    """What one caller does over REST.

    Attributes:
        http: A client that sends the caller's token.
    """

    def __init__(self, served: Served, token: str | Callable[[], str]) -> None:
        made = token if isinstance(token, str) else token()
        self.http = httpx.Client(
            base_url=served.http.base_url,
            timeout=30,
            trust_env=False,
            headers={"Authorization": f"Bearer {made}"},
        )

    def send(self, verb: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """The response to a request below `/api`."""
        sent = {} if body is None else {"json": body}
        return self.http.request(verb, f"/api{path}", **sent, **options)

    def ask(self, verb: str, path: str, body: Any = None, *, code: int = 200, **query: Any) -> Json:
        """The answer to a request below `/api`, which must have this code."""
        answer = self.send(verb, path, body, params=query)
        assert answer.status_code == code, answer.text
        assert answer.headers["content-type"] == (PROBLEM if code >= 400 else "application/json")
        read: Json = answer.json()
        return read

    def create(self, **body: Any) -> str:
        """Create a workflow with a step; its id."""
        step = {"name": "a", "image": "busybox:1"}
        created = self.ask("POST", "/workflows", {"name": "A workflow", "steps": [step], **body}, code=201)
        return str(created["id"])

    def execute(self, workflow: str) -> str:
        """Execute a workflow; the execution's id."""
        return str(self.ask("POST", f"/workflows/{workflow}/execute", code=201)["executionId"])

    def sees(self, **query: Any) -> list[str]:
        """The ids of the workflows that the caller is shown, whose number must be the total."""
        shown = self.ask("GET", "/workflows", pageSize=100, **query)
        assert shown["total"] == len(shown["workflows"])
        return [one["id"] for one in shown["workflows"]]

    def sees_runs(self, **query: Any) -> list[str]:
        """The ids of the executions that the caller is shown, whose number must be the total."""
        shown = self.ask("GET", "/executions", limit=100, **query)
        assert shown["total"] == len(shown["executions"])
        return [one["id"] for one in shown["executions"]]
