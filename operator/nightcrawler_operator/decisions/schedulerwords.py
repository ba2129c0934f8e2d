"""The scheduler's message about a Pod that fits no node, shortened to what a person needs."""

from __future__ import annotations

import re
from typing import Final

_NONE_OF: Final = re.compile(
    r"0/(?P<count>\d+) nodes are available: (?P<why>.+?)\.?"
    # What it found out about preemption and about claims of devices: seldom of use, and as long again.
    r"(?:\s*(?:no new claims to deallocate|preemption:).*)?",
)


def shortened(message: str) -> str:
    """Why no node will do, for the end of a sentence; a message of another form as it is. It is one line."""
    found = _NONE_OF.fullmatch(message)
    if found is None:
        return message
    count = int(found["count"])
    nodes = {0: "there are no nodes", 1: "the only node will not do"}.get(count, f"none of {count} will do")
    return f"{nodes} ({found['why']})"
