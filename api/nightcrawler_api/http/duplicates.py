"""Duplicate keys in JSON objects.

JSON leaves open which value counts (RFC 8259, section 4). Decoders silently take the last one, so that a
check of the first would be bypassed.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from nightcrawler_crds.validation import pointer_part


class _Repeating(dict[str, Any]):
    """An object with a duplicate key."""

    duplicates: list[str]


def repeated_keys(body: bytes) -> list[str]:
    """The JSON pointers of duplicate keys; empty if there are none.

    The body must be JSON already, and not be nested too deep for a decoder that uses the stack.
    """
    found = False

    def decode_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        found = True
        repeating = _Repeating(plain)
        times = Counter(key for key, _ in pairs)
        repeating.duplicates = [key for key, count in times.items() if count > 1]
        return repeating

    # As floats, numbers may have any number of digits; nothing looks at them here.
    value = json.loads(body.decode(), object_pairs_hook=decode_object, parse_int=float)
    return list(_pointers(value)) if found else []


def _pointers(value: Any) -> list[str]:
    pointers: list[str] = []
    todo: list[tuple[str, Any]] = [("", value)]
    while todo:
        place, some = todo.pop()
        if isinstance(some, _Repeating):
            pointers += [f"{place}/{pointer_part(key)}" for key in some.duplicates]
        if isinstance(some, dict):
            todo += [(f"{place}/{pointer_part(key)}", inner) for key, inner in some.items()]
        elif isinstance(some, list):
            todo += [(f"{place}/{index}", inner) for index, inner in enumerate(some)]
    return sorted(pointers)
