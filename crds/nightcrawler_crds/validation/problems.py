"""What the checks return: where the problem is, its reason, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot run: where (a JSON pointer into the spec), the reason, a sentence."""

    pointer: str
    reason: str
    message: str


def pointer_part(text: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return text.replace("~", "~0").replace("/", "~1")
