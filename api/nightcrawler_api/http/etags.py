"""Entity tags (RFC 9110, sections 8.8.3 and 13.1.2), hashes of the response bodies; pure.

A tag made from versions would have to include every input: objects, the clock while something runs,
settings, the facade's version. A hash of the body changes exactly when the body does, on every replica
and after every restart. It is weak because proxies may compress the body.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

_BYTES: Final = 15
"""Length of the digest: collisions are practically impossible, and base64 needs no padding."""
_TAG: Final = re.compile(rb'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag_of(body: bytes, version: str = "") -> bytes:
    """The tag of a body, as the header's value; `version` is that of the object, for If-Match."""
    digest = urlsafe_b64encode(blake2b(body, digest_size=_BYTES).digest())
    return b'W/"%b/%b"' % (version.encode(), digest) if version else b'W/"%b"' % digest


def names(condition: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match matches a tag: by weak comparison, in a list, or as `*`."""
    if condition == etag:
        return True
    if condition.strip() == b"*":
        return True
    return _opaque(etag) in _TAG.findall(condition)


def _opaque(etag: bytes) -> bytes:
    return etag[len(b'W/"') : -1]
