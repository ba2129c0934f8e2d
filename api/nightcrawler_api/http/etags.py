"""Entity tags (RFC 9110, sections 8.8.3 and 13.1.2), made of the answers themselves; pure.

A tag of what an answer was made from would have to name all of it: objects, the clock where something
runs, settings, the version of the facade. One of the answer's own bytes is the same exactly if the answer
is, whichever replica gives it and however often that was restarted. It is weak, for what lies between may
compress what it tags.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

_BYTES: Final = 15
"""Of the digest: no two answers will ever have the same, and none needs padding."""
_TAG: Final = re.compile(rb'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag_of(body: bytes) -> bytes:
    """The tag of an answer, as it stands in the header."""
    return b'W/"%b"' % urlsafe_b64encode(blake2b(body, digest_size=_BYTES).digest())


def names(condition: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match names an answer's tag: by weak comparison, in a list, or as `*`."""
    if condition == etag:
        return True
    if condition.strip() == b"*":
        return True
    return _opaque(etag) in _TAG.findall(condition)


def _opaque(etag: bytes) -> bytes:
    return etag[len(b'W/"') : -1]
