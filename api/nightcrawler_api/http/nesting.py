"""How deep JSON is nested, told before it is decoded: a stack that overflows ends the process."""

from __future__ import annotations

import re
from typing import Final

_TOKENS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)


def is_deeper(text: bytes, most: int) -> bool:
    """Whether JSON, or what only begins like it, has more than `most` objects and lists in each other."""
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
