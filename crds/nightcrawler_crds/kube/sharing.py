"""Interns strings that thousands of objects have in common.

Decoding creates a new string for every object: the same namespace, kind, step, reason or node a
thousand times. Views that stay in a cache intern such fields here.
"""

from __future__ import annotations

from typing import Final

import msgspec

_MAX_STRINGS: Final = 10_000
"""Clear the table at this size, and with it the strings that no object has any more."""

_MAX_LENGTH: Final = 200
"""Longer strings are messages, which few objects have in common."""

_known: dict[str, str] = {}


def shared(text: str) -> str:
    """The interned copy of a string; not for strings that every object has its own of."""
    if len(_known) >= _MAX_STRINGS:
        _known.clear()
    return _known.setdefault(text, text)


def share(struct: msgspec.Struct, *fields: str) -> None:
    """Intern these fields of a struct that has just been decoded."""
    for field in fields:
        text = getattr(struct, field)
        if text and len(text) <= _MAX_LENGTH:
            msgspec.structs.force_setattr(struct, field, shared(text))


def tie(struct: msgspec.Struct, field: str, *others: str) -> None:
    """Let a field share the memory of an equal string among these."""
    text = getattr(struct, field)
    if text:
        for other in others:
            if text == other:
                msgspec.structs.force_setattr(struct, field, other)
                return
