"""The nesting depth of JSON, checked before decoding: a stack overflow would end the process."""

from __future__ import annotations

import re
from typing import Final

_TOKENS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)


def is_deeper(text: bytes, most: int) -> bool:
    """Whether a text, valid JSON or not, nests more than `most` objects and lists."""
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    depth = 0
    for token in _TOKENS.finditer(text):
        if token[1]:
            depth += 1
            if depth > most:
                return True
        elif token[2]:
            depth -= 1
    return False
