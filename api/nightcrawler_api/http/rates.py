"""How many requests a second each caller may send, by the generic cell rate algorithm; pure.

A caller has one number: the time at which its requests so far would be worked off, one after the other.
"""

from __future__ import annotations

from typing import Final

_BURST_SECONDS: Final = 2.0
"""So many seconds' requests may come at once."""
_MOST_CALLERS: Final = 10_000
_ROUNDING: Final = 1e-9


class Rates:
    """The requests of all callers; `per_second` is what each may send."""

    def __init__(self, per_second: int) -> None:
        self._interval = 1 / per_second
        self._ahead = _BURST_SECONDS - self._interval
        self._worked_off: dict[str, float] = {}

    def take(self, caller: str, now: float) -> float:
        """Count a request, or return the seconds until the caller may send it.

        Args:
            caller: Who sends it.
            now: Seconds of a clock that never goes back.
        """
        begin = max(self._worked_off.get(caller, now), now)
        if (wait := begin - self._ahead - now) > _ROUNDING:
            return wait
        if caller not in self._worked_off and len(self._worked_off) >= _MOST_CALLERS:
            self._forget_idle(now)
        self._worked_off[caller] = begin + self._interval
        return 0.0

    def _forget_idle(self, now: float) -> None:
        """Forget those whose next request would be as the first."""
        self._worked_off = {caller: end for caller, end in self._worked_off.items() if end > now}
