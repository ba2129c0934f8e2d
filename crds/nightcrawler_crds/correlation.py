"""The id of the request that is being worked on, for everything that is done and said about it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request id", default="")
"""Empty outside requests. Tasks and threads that a request starts inherit it."""
