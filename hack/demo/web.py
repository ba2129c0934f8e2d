"""Asking this machine's own servers, past any proxy that the environment names."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from demo.terminal import DemoError

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with _OPENER.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def get_json(url: str) -> Any:
    """What a GET is answered with; DemoError if it is not answered, or with an error."""
    try:
        with _OPENER.open(url, timeout=10) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError) as error:
        raise DemoError(f"GET {url} failed: {error}") from None
