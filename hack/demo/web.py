"""GET requests to this machine's own servers, without any proxy that the environment sets."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from demo.terminal import DemoError

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Whether the response to a GET is 200."""
    try:
        with _OPENER.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def get_json(url: str) -> Any:
    """The JSON response to a GET; DemoError if there is none, or an error."""
    try:
        with _OPENER.open(url, timeout=10) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError) as error:
        raise DemoError(f"GET {url} failed: {error}") from None
