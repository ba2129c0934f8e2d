"""Settings of the Python interpreter for both processes."""

from __future__ import annotations

import sys
from typing import Final

_JSON_DEPTH: Final = 10_000
"""The nesting of JSON that the API server accepts (the limit of Go's decoder)."""


def read_deep_json() -> None:
    """Allow JSON to be nested as deeply as the API server accepts it.

    Python's decoders stop at the recursion limit, 1,000, so one object with a parameter nested
    deeper would break every list and watch that contains it. The stack has room for little more
    than this depth: bound JSON from other sources before decoding it.
    """
    sys.setrecursionlimit(4 * _JSON_DEPTH)
