"""Lines of a container's log as JSON of the REST API; pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from nightcrawler_api.executions.schemas import Level, LogLine
from nightcrawler_api.http.nesting import is_deeper
from nightcrawler_crds.masking import NOTHING_HIDDEN, Mask
from nightcrawler_crds.plaintext import plain_line

_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)(?: |$)")
# Programs print brackets and timestamps before the level. Possessive quantifiers keep it linear.
_LEADING_WORD: Final = re.compile(r"(?>[\d:.,/+\-\[(<*|\s\]]|(?<=\d)[TZ](?=[\d\s]))*+([A-Za-z]++)(?!\w|-\w)")
# Lines of logfmt are pairs: time="12:00" level=warning msg="..."
_IS_LOGFMT: Final = re.compile(r"\s*+[A-Za-z_][\w.]*+=")
_LOGFMT_LEVEL: Final = re.compile(r'(?:^|\s)(?:level|lvl|severity)="?+([A-Za-z]++)')
_LEVELS: Final[dict[str, Level]] = {
    **dict.fromkeys(("warning", "warn"), "warning"),
    **dict.fromkeys(
        ("error", "err", "fatal", "critical", "crit", "panic", "alert", "emerg", "severe"), "error"
    ),
}
# As pino and bunyan count: 30 is info, 40 a warning, from 50 on an error.
_WARNING_NUMBER: Final = 40
_ERROR_NUMBER: Final = 50
_DEEPEST: Final = 100


class _Levelled(msgspec.Struct):
    level: Any = None
    severity: Any = None


_json_line = msgspec.json.Decoder(_Levelled)


def parse_log(text: str, mask: Mask = NOTHING_HIDDEN) -> list[LogLine]:
    """A log with the API server's timestamp before each line, in order; `mask` hides values of Secrets."""
    return [parse_line(line, mask) for line in text.split("\n") if line]


def parse_line(line: str, mask: Mask = NOTHING_HIDDEN) -> LogLine:
    """A line with the API server's timestamp before it."""
    stamp = _STAMP.match(line)
    at = _seconds_in_utc(stamp[1], stamp[3]) if stamp else None
    if stamp is None or at is None:
        # A line without a timestamp is a message of the kubelet, or the end of an overlong line.
        return _line(line, "00:00:00", mask)
    parsed = _line(line[stamp.end() :], at.partition("T")[2], mask)
    parsed["time"] = f"{at}{stamp[2] or ''}Z"
    return parsed


def _line(text: str, timestamp: str, mask: Mask) -> LogLine:
    message = mask(plain_line(text))
    return {"timestamp": timestamp, "level": level_of(message), "message": message}


def _seconds_in_utc(local: str, offset: str) -> str | None:
    """A time to the second, in UTC: the kubelet writes its node's time zone. None if it is invalid."""
    if offset == "Z":
        return local
    try:
        moved = datetime.fromisoformat(local + offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{moved:%Y-%m-%dT%H:%M:%S}"


def level_of(message: str) -> Level:
    """The level of a plain line, from its leading word or the `level` of its JSON or logfmt; else info."""
    if message.lstrip().startswith("{"):
        if is_deeper(message.encode(), _DEEPEST):
            return "info"
        try:
            fields = _json_line.decode(message)
        except ValueError:
            return "info"
        return _of_value(fields.level if fields.level is not None else fields.severity)
    begin = message[:200]
    pair = _LOGFMT_LEVEL.search(begin) if _IS_LOGFMT.match(begin) else None
    word = pair or _LEADING_WORD.match(begin)
    return _LEVELS.get(word[1].lower(), "info") if word else "info"


def _of_value(value: Any) -> Level:
    if isinstance(value, str):
        return _LEVELS.get(value.lower(), "info")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "error" if value >= _ERROR_NUMBER else "warning" if value >= _WARNING_NUMBER else "info"
    return "info"
