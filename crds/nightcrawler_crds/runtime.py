"""What both processes ask of the interpreter."""

from __future__ import annotations

import sys
from typing import Final

_JSON_DEPTH: Final = 10_000
"""How deep the API server lets JSON be nested (the limit of Go's decoder)."""


def read_deep_json() -> None:
    """Let JSON be read as deep as the API server takes it.

    Python's decoders stop at the recursion limit, 1,000: one object with a parameter nested
    deeper would end every list and watch that it is in. The stack has room for this
    depth and for little more: JSON from anywhere else is to be bounded before it is decoded.
    """
    sys.setrecursionlimit(4 * _JSON_DEPTH)
