"""The ids of a run's trace and of its spans.

They follow from the execution's UID and from what a span is about, so that an operator that restarts, another
replica, the facade and the step itself agree without telling each other. They are hashes: samplers decide by
the bits of a trace id, and those of a UUID are not all random.
"""

from __future__ import annotations

import hashlib
from typing import Final

RUN: Final = "run"
STEP: Final = "step"
ATTEMPT: Final = "attempt"
WAIT: Final = "wait"
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


def trace_id(uid: str) -> str:
    """The id of an execution's trace: 32 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).digest()[:_TRACE_BYTES].hex()


def span_id(uid: str, *what: str) -> str:
    """The id of a span of an execution: 16 hexadecimal digits."""
    # Each part is prefixed with its length, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(part)}:{part}" for part in (uid, *what))
    return hashlib.sha256(text.encode()).digest()[:_SPAN_BYTES].hex()


def step_span(uid: str, step: str) -> str:
    """The id of a step's span."""
    return span_id(uid, STEP, step)


def attempt_span(uid: str, step: str, attempt: int) -> str:
    """The id of the span of one attempt of a step."""
    return span_id(uid, ATTEMPT, step, str(attempt))


def traceparent(uid: str, parent: str) -> str:
    """The W3C traceparent under which a program continues the trace; it says that the trace is sampled."""
    return f"00-{trace_id(uid)}-{parent}-01"
