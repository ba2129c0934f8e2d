"""The teams file in use: read at start, and again when it changes."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from nightcrawler_api.auth.teams import TeamRules, placed
from nightcrawler_api.caller import Caller
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.variables import variable

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_MOST_BYTES: Final = 1 << 20
_MOST_CALLERS: Final = 2_000


class Teams:
    """Places callers in their teams by the file as it is now, or by rules that do not change.

    A file that cannot be used any more changes nothing until it can; it is logged, and `failure` says why.

    Attributes:
        file: The file; None if the rules do not change.
        failure: What is wrong with the file; empty if nothing is.
    """

    def __init__(self, rules: TeamRules, file: Path | None = None) -> None:
        self.failure = ""
        self._rules = rules
        self.file = file
        self._looked = float("-inf")
        self._seen: object = None
        self._placed: dict[Caller, Caller] = {}
        if file is not None:
            self._look_up(file)
            if self.failure:
                raise ConfigurationError(f"{variable('teams_file')} {str(file)!r}: {self.failure}")

    def placed(self, caller: Caller) -> Caller:
        """A caller with the memberships that they have now."""
        self.refresh()
        found = self._placed.get(caller)
        # Equal callers may have credentials that expire at different times.
        if found is None or found.expires != caller.expires:
            if len(self._placed) >= _MOST_CALLERS:
                self._placed.clear()
            found = self._placed[caller] = placed(self._rules, caller)
        return found

    def refresh(self) -> None:
        """Read the file again if it has changed; to be called whenever its content or `failure` is used."""
        now = time.monotonic()
        if self.file is not None and now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look_up(self.file)

    def _look_up(self, file: Path) -> None:
        try:
            stat = file.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if seen == self._seen:
                return
            text = file.read_bytes()
            rules = _parse(text)
        except (OSError, ValueError) as error:
            if (failure := _sentence(error)) != self.failure:
                log.error(  # noqa: TRY400 - the author of the file needs no traceback
                    "the teams file cannot be used, and its former content stays in effect: %s", failure
                )
            self.failure = failure
            return
        if self._seen is not None:
            log.info("the teams file has changed: %d team(s)", len(rules.teams))
        self._rules, self._seen, self.failure = rules, seen, ""
        self._placed.clear()


def _parse(text: bytes) -> TeamRules:
    """The rules in a file.

    Raises:
        ValueError: It cannot be used.
    """
    import yaml  # noqa: PLC0415 - only where there is such a file

    if len(text) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    try:
        read: Any = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {error}") from error
    # By JSON, so that lists are taken for tuples although nothing else is converted.
    return TeamRules.model_validate_json(msgspec.json.encode({} if read is None else read))


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False)
        return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in found[:3])
    return str(error)
