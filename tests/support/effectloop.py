"""The queue of a simulated replica's effects; the test decides when they work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from nightcrawler_crds import errors
from nightcrawler_operator.controller import Reconciler
from nightcrawler_operator.keys import EffectKey
from nightcrawler_operator.plan import Waiting


class EffectLoop:
    """Keys of effects, and timers by the model's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.dirty: dict[EffectKey, None] = {}
        self.timers: dict[EffectKey, datetime] = {}

    def wake(self, key: EffectKey) -> None:
        """Queue a key."""
        self.dirty[key] = None

    async def work(self, effects: Mapping[type, Reconciler[Any]]) -> bool:
        """Reconcile all keys that are queued, or due again; False if there are none."""
        for key in [key for key, due in self.timers.items() if due <= self._now()]:
            self.dirty[key] = None
            del self.timers[key]
        keys = list(self.dirty)
        self.dirty.clear()
        for key in keys:
            try:
                outcome = await effects[type(key)].reconcile(key)
            except errors.ApiError:
                self.dirty[key] = None
                continue
            if isinstance(outcome, Waiting):
                self.timers[key] = outcome.until
        return bool(keys)
