"""How fast effects may send: a burst, then so many a second, and not at all for a while after a failure."""

from __future__ import annotations

import asyncio
from typing import Final

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_GRAIN: Final = 0.01
"""The shortest sleep: rounding must not make many of one."""


class Pace:
    """A token bucket that all workers of an effect share; moments are those of the loop's clock."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._counted_at = float("-inf")
        self._paused_until = float("-inf")
        self._pause = 0.0

    async def turn(self) -> None:
        """Wait until the next may be sent."""
        while (seconds := self._wait()) > 0:  # noqa: ASYNC110 - it waits for a time, not for a state
            await asyncio.sleep(max(seconds, _GRAIN))
        self._tokens -= 1

    def failed(self) -> bool:
        """Pause, for twice as long after each failure in a row; False if it is paused already."""
        now = _now()
        if now < self._paused_until:
            return False
        self._pause = min(self._pause * 2 or _FIRST_PAUSE, _LONGEST_PAUSE)
        self._paused_until = now + self._pause
        return True

    def succeeded(self) -> None:
        """The next failure is the first in a row."""
        self._pause = 0.0

    def _wait(self) -> float:
        now = _now()
        grown = (now - self._counted_at) * self._per_second
        self._tokens, self._counted_at = min(self._tokens + grown, self._burst), now
        missing = (1 - self._tokens) / self._per_second
        return max(missing, self._paused_until - now)


def _now() -> float:
    return asyncio.get_running_loop().time()
