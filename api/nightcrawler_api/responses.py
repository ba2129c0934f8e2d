"""Answers as JSON, encoded in one step from what presenters make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import Response


def json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as a response."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
