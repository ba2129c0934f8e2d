"""Free ports for clusters that start at the same time.

Nothing can reserve a port for a program that has yet to start, so a port is
picked at random from a wide range below the ones the kernel gives to outgoing
connections, and a component that finds its port taken is started again with
others.
"""

import random
import socket
from collections.abc import Iterable

_RANGE = range(20_000, 30_000)
TAKEN = "address already in use"


def pick(names: Iterable[str], host: str = "127.0.0.1") -> dict[str, int]:
    """A different port of `host` for each name, free at this moment."""
    candidates = iter(random.sample(_RANGE, len(_RANGE)))
    return {name: next(port for port in candidates if _is_free(host, port)) for name in names}


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
