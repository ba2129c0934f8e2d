"""The few requests that the cluster's starter makes of the API server itself."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MERGE_PATCH = "application/merge-patch+json"


class RefusedError(Exception):
    """The server answered with an error.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """Requests with one user's token; every method raises OSError when the server is away."""

    def __init__(self, server: str, authority: Path, token: str) -> None:
        self._server = server
        self._token = token
        self._trust = ssl.create_default_context(cafile=str(authority))
        # Straight to the server, whatever proxy the environment names.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._trust)
        )

    def get(self, path: str) -> Any:
        """The object, or the text, at a path of the API."""
        return self._call("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create an object."""
        return self._call("POST", path, body, "application/json")

    def merge(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change an object by a merge patch."""
        return self._call("PATCH", path, body, _MERGE_PATCH)

    def delete(self, path: str) -> Any:
        """Delete an object."""
        return self._call("DELETE", path)

    def exists(self, path: str) -> bool:
        """Whether there is an object at this path."""
        try:
            self.get(path)
        except RefusedError as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def is_ok(self, path: str, server: str = "") -> bool:
        """Whether a health endpoint, of the API server or of another, answers well."""
        try:
            self._call("GET", path, server=server)
        except (OSError, RefusedError):
            return False
        return True

    def _call(
        self, verb: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "", server: str = ""
    ) -> Any:
        request = urllib.request.Request((server or self._server) + path, method=verb)  # noqa: S310 - always https
        request.add_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", kind)
        try:
            with self._opener.open(request, timeout=10) as answer:
                raw = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code, error.read().decode(errors="replace")) from None
        text = raw.decode()
        return json.loads(text) if text.startswith("{") else text
