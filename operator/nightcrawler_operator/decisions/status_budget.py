"""One byte budget for the whole status of an execution.

etcd takes objects of up to 1.5 MiB. If the status of a run outgrew that, nothing more could be recorded of
it, its end included. Names, times and numbers of up to 1,000 steps fit; texts are what may not, so they are
shortened until all of it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from nightcrawler_crds.kube.views import AttemptView, ExecutionStatusView, StepStatusView

MAX_STATUS_BYTES: Final = 1024 * 1024
"""The status alone."""
_MAX_OBJECT_BYTES: Final = 1536 * 1024
_OTHER_BYTES: Final = 96 * 1024
"""Reserved for metadata and spec, whose parameters may take 32 KiB."""
_MANAGED_FIELDS_BYTES: Final = 200
"""What metadata.managedFields holds of a step, besides its name."""
_STEP_BYTES: Final = 512
"""The most that a step, or a condition, takes besides its texts and the step's name."""

_ATTEMPT_CHARS: Final = 128
"""The most that an attempt takes besides its Events, in characters that may take six bytes each."""
_EVENT_CHARS: Final = 48

_LENGTHS: Final = (4096, 2048, 1024, 512, 256, 128, 64, 32)
"""Bytes for each text. Steps, so that a status of which a part is already shortened stays as it is."""
_ESCAPED: Final = b"<>&"
"""The API server writes these as six bytes each (`\\u003c`)."""


def within_budget(status: ExecutionStatusView) -> ExecutionStatusView:
    """The status itself if it fits, else one with its longest texts shortened, all to the same length."""
    names = "".join(status.steps)
    managed = _text_bytes(names) + _MANAGED_FIELDS_BYTES * len(status.steps)
    budget = min(MAX_STATUS_BYTES, _MAX_OBJECT_BYTES - _OTHER_BYTES - managed)
    if _at_most(status, names) <= budget:
        return status
    total = _stored(msgspec.json.encode(status))
    if total <= budget:
        return status
    # What is only kept for the trace goes first.
    for less in (_without_events, _without_attempts):
        status = less(status)
        total = _stored(msgspec.json.encode(status))
        if total <= budget:
            return status
    sizes = [_text_bytes(text) for text in _texts(status)]
    fixed = total - sum(sizes)
    fits = (length for length in _LENGTHS if fixed + sum(min(size, length) for size in sizes) <= budget)
    return _shortened(status, next(fits, _LENGTHS[-1]))


def _at_most(status: ExecutionStatusView, names: str) -> int:
    """An upper bound of the status' bytes, without encoding it: nearly all are far below the budget."""
    chars = len(names) + len(status.message or "") + sum(len(c.message) for c in status.conditions)
    for step in status.steps.values():
        if step.reason or step.message:
            chars += len(step.reason or "") + len(step.message or "")
        for attempt in step.attempts or ():
            chars += _ATTEMPT_CHARS + sum(len(event.message or "") for event in attempt.events or ())
            chars += _EVENT_CHARS * len(attempt.events or ())
    notices = status.notifications or {}
    chars += sum(len(key) + len(notice.last_error or "") for key, notice in notices.items())
    return _STEP_BYTES * (len(status.steps) + len(status.conditions) + len(notices) + 2) + 6 * chars


def _texts(status: ExecutionStatusView) -> Iterator[str | None]:
    yield status.message
    for condition in status.conditions:
        yield condition.message
    for step in status.steps.values():
        yield step.reason
        yield step.message


def _without_events(status: ExecutionStatusView) -> ExecutionStatusView:
    """Without Events about Pods; empty ones, since those that are missing would be collected again."""
    return _with_steps(
        status,
        lambda step: tuple(msgspec.structs.replace(one, events=()) for one in step.attempts or ()),
    )


def _without_attempts(status: ExecutionStatusView) -> ExecutionStatusView:
    return _with_steps(status, lambda _: None)


def _with_steps(
    status: ExecutionStatusView,
    attempts: Callable[[StepStatusView], tuple[AttemptView, ...] | None],
) -> ExecutionStatusView:
    steps = {
        name: msgspec.structs.replace(step, attempts=attempts(step)) if step.attempts else step
        for name, step in status.steps.items()
    }
    return msgspec.structs.replace(status, steps=steps)


def _shortened(status: ExecutionStatusView, length: int) -> ExecutionStatusView:
    replace = msgspec.structs.replace
    return replace(
        status,
        message=_cut(status.message, length),
        conditions=tuple(replace(c, message=_cut(c.message, length) or "") for c in status.conditions),
        steps={
            name: replace(step, reason=_cut(step.reason, length), message=_cut(step.message, length))
            for name, step in status.steps.items()
        },
    )


def _cut(text: str | None, length: int) -> str | None:
    """The longest beginning of a text that takes so many bytes at most."""
    if text is None or _text_bytes(text) <= length:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _text_bytes(text[:middle]) <= length:
            fits = middle
        else:
            too_long = middle
    return text[:fits]


def _text_bytes(text: str | None) -> int:
    return _stored(msgspec.json.encode(text)) - 2 if text else 0


def _stored(encoded: bytes) -> int:
    """How many bytes etcd keeps of this JSON at the most."""
    return len(encoded) + 5 * sum(encoded.count(char) for char in _ESCAPED) + 3 * encoded.count(b"\xe2\x80")
