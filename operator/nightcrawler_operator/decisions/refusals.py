"""What a refusal by the API server means: whether the request is repeated, and the message for people.

An exceeded quota is waited for, and so is an API server or a webhook that does not answer. A policy's refusal
is final. Rights that the operator lacks are waited for, but not for ever: the installation has to be
corrected. Kubernetes answers 403 to most of these, so they are told apart by their texts, those of its
admission plugins and its authorizer (`k8s.io/apiserver`). No other module matches these texts.
"""

from __future__ import annotations

import re
import zlib
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import errors
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Refusal

_FIRST: Final[dict[str, float]] = {conditions.STEP_API_UNAVAILABLE: 0.1}
"""Seconds before the first repetition, by reason; each further one waits twice as long."""
_FIRST_OF_OTHERS: Final = 1.0
_LONGEST: Final = 30.0
_DOUBLINGS: Final = 9

_QUOTA: Final = re.compile(r"exceeded quota|status unknown for quota")
_EXCEEDED: Final = re.compile(r"exceeded quota: .*?requested: (.*?), used: ", re.DOTALL)
_DENIED: Final = re.compile(r"denied (?:the )?request")
_STARTING: Final = re.compile(r"not yet ready to handle request|because it is being terminated")
_RIGHTS: Final = re.compile(
    r"User \"[^\"]*\" cannot \w+ resource|resource you can't (?:delete|set finalizers on)"
)
_MISSING: Final = re.compile(
    r"error looking up service account|no PriorityClass with name|RuntimeClass .*not found"
)
_WEBHOOK: Final = re.compile(
    r'failed calling webhook "([^"]*)": (?:failed to call webhook: )?(.*)', re.DOTALL
)
_UNSPECIFIED: Final = re.compile(r"failed quota: .*must specify (.*)", re.DOTALL)
_FIELDS: Final = {
    "limits.cpu": "resources.cpuLimit",
    "requests.cpu": "resources.cpu",
    "memory": "resources.memory",
    "ephemeral-storage": "resources.ephemeralStorage",
}


def refusal(error: errors.ApiError, name: str, before: Refusal | None, now: datetime) -> Refusal:
    """What an error means for the object `name` that was to be created.

    `before` is its last refusal: for the same reason the wait continues, and the request is repeated less
    often.
    """
    reason, final = _meaning(error)
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


def forbidden(message: str) -> tuple[str, bool]:
    """The reason of a 403, by its text, and whether it is final."""
    if _QUOTA.search(message):
        return conditions.STEP_QUOTA, False
    if _DENIED.search(message):
        return conditions.STEP_FORBIDDEN, True
    if _STARTING.search(message):
        return conditions.STEP_API_UNAVAILABLE, False
    if _RIGHTS.search(message):
        return conditions.STEP_MISSING_RIGHTS, False
    # What a Pod names may still be created; anything else is a policy.
    return conditions.STEP_FORBIDDEN, _MISSING.search(message) is None


def exceeded_resources(message: str) -> frozenset[str]:
    """The resources that a quota has too little of, by the message that refuses a request; else none."""
    found = _EXCEEDED.search(message)
    return frozenset(part.partition("=")[0].strip() for part in found[1].split(",")) if found else frozenset()


def in_words(message: str) -> str:
    """The message for people: which webhook, or which field of the step, it is about."""
    text = " ".join(message.split())[:1000]
    if called := _WEBHOOK.search(text):
        return f"the admission webhook {called[1]!r} could not be asked: {called[2]}"
    if demanded := _UNSPECIFIED.search(text):
        fields = sorted({field for word, field in _FIELDS.items() if word in demanded[1]})
        return f"{text}; the quota asks for it: set {' and '.join(fields)}" if fields else text
    return text


def _meaning(error: errors.ApiError) -> tuple[str, bool]:
    if isinstance(error, errors.Forbidden):
        return forbidden(error.message)
    if isinstance(error, errors.Invalid):
        return conditions.STEP_INVALID, True
    return conditions.STEP_API_UNAVAILABLE, False


def _pause(reason: str, tries: int, name: str) -> float:
    """Back-off in seconds; up to a quarter less by name, so that not all are repeated together."""
    plain = min(_FIRST.get(reason, _FIRST_OF_OTHERS) * (1 << min(tries - 1, _DOUBLINGS)), _LONGEST)
    return plain * (1 - zlib.crc32(name.encode()) % 256 / 1024)
