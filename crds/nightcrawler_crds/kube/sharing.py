"""Words that thousands of objects have in common, kept once.

Decoding makes a string anew for every object that has it: the same namespace, kind, step, reason, node a
thousand times. What is decoded to be kept for long goes through here.
"""

from __future__ import annotations

from typing import Final

import msgspec

_MOST: Final = 10_000
"""When so many are known, all are forgotten and begun anew: those that nothing has any more go with that."""

_LONGEST: Final = 200
"""Longer ones are what somebody says of one object."""

_known: dict[str, str] = {}


def shared(text: str) -> str:
    """The one copy of a text that few differ in; not for what each object has for itself."""
    if len(_known) >= _MOST:
        _known.clear()
    return _known.setdefault(text, text)


def share(struct: msgspec.Struct, *fields: str) -> None:
    """Let these fields of a struct that has just been decoded be the shared copies of themselves."""
    for field in fields:
        text = getattr(struct, field)
        if text and len(text) <= _LONGEST:
            msgspec.structs.force_setattr(struct, field, shared(text))


def tie(struct: msgspec.Struct, field: str, *others: str) -> None:
    """Let a field be the very text that it is equal to, if it is to one of these."""
    text = getattr(struct, field)
    if text:
        for other in others:
            if text == other:
                msgspec.structs.force_setattr(struct, field, other)
                return
