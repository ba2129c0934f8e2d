"""The log formats of both processes: plain text, or one JSON object per line.

Times are UTC with milliseconds, as the API server's own logs have them.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final, Literal

from pythonjsonlogger.json import JsonFormatter
from typing_extensions import override

Format = Literal["text", "json"]

_NAMES: Final = {"asctime": "time", "levelname": "level", "name": "logger"}

SUBJECT: Final = ("namespace", "execution", "step", "environment", "requestId")
"""Attributes of a record that name its subject; empty ones are left out."""


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z WARNING nightcrawler_operator.act: what happened [default/hello]`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    @override
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time(record)

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        namespace, execution, step, environment, request = (getattr(record, name, "") for name in SUBJECT)
        about = [
            f"{namespace}/{execution}" if execution else namespace,
            f"step {step!r}" if step else "",
            f"environment {environment}" if environment else "",
            f"request {request}" if request else "",
        ]
        subject = ", ".join(part for part in about if part)
        return super().formatMessage(record) + (f" [{subject}]" if subject else "")


class MachineFormatter(JsonFormatter):
    """One JSON object per line: `time`, `level`, `logger`, `message`, the subject, and `exc_info`."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=_NAMES, json_ensure_ascii=False
        )

    @override
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time(record)


def handler(form: Format) -> logging.Handler:
    """A handler that writes to standard error."""
    made = logging.StreamHandler()
    made.setFormatter(MachineFormatter() if form == "json" else TextFormatter())
    return made


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
