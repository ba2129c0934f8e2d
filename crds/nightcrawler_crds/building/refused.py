"""What a refusal of a Job or Pod means: its reason, whether it is final, and the message for people.

Kubernetes answers 403 to most of them, so they are distinguished by their messages, those of its admission
plugins and its authorizer (`k8s.io/apiserver`). No other module matches these texts.
"""

from __future__ import annotations

import re
from typing import Final

from nightcrawler_crds import errors
from nightcrawler_crds.v1alpha1 import conditions

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


def meaning(error: errors.ApiError) -> tuple[str, bool]:
    """The reason of a step whose Job or Pod is refused, and whether it is final."""
    if isinstance(error, errors.Forbidden):
        return forbidden(error.message)
    if isinstance(error, errors.Invalid):
        return conditions.STEP_INVALID, True
    return conditions.STEP_API_UNAVAILABLE, False
