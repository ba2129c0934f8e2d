"""How fast messages go to one receiver: a few at a time, and not at all for a while after a failure.

So a receiver that hangs, or is down, takes no worker away from the others.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_operator.decisions.notifications.targets import Target

_AT_ONCE: Final = 2
_BUSY: Final = timedelta(seconds=0.2)
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_MOST: Final = 1_000


class ReceiverLimit:
    """What goes to one receiver."""

    def __init__(self) -> None:
        self._busy = 0
        self._pause = 0.0
        self._paused_until: datetime | None = None

    def wait(self, now: datetime) -> datetime | None:
        """When to ask again; None if a message may go now."""
        if self._paused_until is not None and now < self._paused_until:
            return self._paused_until
        return now + _BUSY if self._busy >= _AT_ONCE else None

    def begin(self) -> None:
        """A message goes."""
        self._busy += 1

    def end(self, now: datetime, *, reached: bool) -> None:
        """It has arrived, or was refused; or the receiver could not be reached."""
        self._busy -= 1
        if reached:
            self._pause, self._paused_until = 0.0, None
        elif self._paused_until is None or now >= self._paused_until:
            self._pause = min(self._pause * 2 or _FIRST_PAUSE, _LONGEST_PAUSE)
            self._paused_until = now + timedelta(seconds=self._pause)


class ReceiverLimits:
    """The limits of all receivers; those not used for longest are forgotten."""

    def __init__(self) -> None:
        self._limits: OrderedDict[Target, ReceiverLimit] = OrderedDict()

    def of(self, target: Target) -> ReceiverLimit:
        """The limit of a receiver."""
        limit = self._limits.setdefault(target, ReceiverLimit())
        self._limits.move_to_end(target)
        if len(self._limits) > _MOST:
            self._limits.popitem(last=False)
        return limit
