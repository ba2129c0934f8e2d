"""What a refusal by the API server means: whether the request is repeated, and the message for people.

An exceeded quota is waited for, and so is an API server or a webhook that does not answer. A policy's refusal
is final. Rights that the operator lacks are waited for, but not for ever: the installation has to be
corrected.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import errors
from nightcrawler_crds.building.refused import exceeded_resources, in_words, meaning
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Refusal

_FIRST: Final[dict[str, float]] = {conditions.STEP_API_UNAVAILABLE: 0.1}
"""Seconds before the first repetition, by reason; each further one waits twice as long."""
_FIRST_OF_OTHERS: Final = 1.0
_LONGEST: Final = 30.0
_DOUBLINGS: Final = 9


def refusal(error: errors.ApiError, name: str, before: Refusal | None, now: datetime) -> Refusal:
    """What an error means for the object `name` that was to be created.

    `before` is its last refusal: for the same reason the wait continues, and the request is repeated less
    often.
    """
    reason, final = meaning(error)
    message, exceeded = in_words(error.message), exceeded_resources(error.message)
    goes_on = before is not None and before.reason == reason
    since = before.since if before is not None and goes_on and before.since is not None else now
    if final:
        return Refusal(message, None, reason, since, exceeded=exceeded)
    tries = before.tries + 1 if before is not None and goes_on else 1
    seconds = max(_pause(reason, tries, name), error.retry_after or 0.0)
    return Refusal(message, now + timedelta(seconds=seconds), reason, since, tries, exceeded)


def is_final(refused: Refusal, now: datetime, limits: Limits) -> bool:
    """Whether the request is not repeated (any more)."""
    if refused.ask_again is None:
        return True
    grace = {
        conditions.STEP_MISSING_RIGHTS: limits.missing_rights_grace,
        conditions.STEP_FORBIDDEN: limits.missing_config_grace,
    }.get(refused.reason)
    return grace is not None and refused.since is not None and now >= refused.since + timedelta(seconds=grace)


def show_at(refused: Refusal, limits: Limits) -> datetime | None:
    """When the wait is recorded; None for at once. A wait for the API server may be short."""
    if refused.reason != conditions.STEP_API_UNAVAILABLE or refused.since is None:
        return None
    return refused.since + timedelta(seconds=limits.status_window)


def _pause(reason: str, tries: int, name: str) -> float:
    """Back-off in seconds; up to a quarter less by name, so that not all are repeated together."""
    plain = min(_FIRST.get(reason, _FIRST_OF_OTHERS) * (1 << min(tries - 1, _DOUBLINGS)), _LONGEST)
    return plain * (1 - zlib.crc32(name.encode()) % 256 / 1024)
