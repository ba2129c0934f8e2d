"""Which Environments are to be reconciled, and how many runs each has.

Nearly every change in a cluster changes what is free somewhere. So an Environment is queued once, and not
again until it is reconciled, which looks at everything that has changed by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from nightcrawler_crds.kube.cache import Cache
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView
from nightcrawler_operator.keys import EnvironmentKey, WorkKey


class EnvironmentChanges:
    """Queues Environments by `wake` when something about them changes, and counts their runs."""

    def __init__(self, environments: Cache[EnvironmentView], wake: Callable[[WorkKey], None]) -> None:
        self._environments = environments
        self._wake = wake
        self._queued: set[str] = set()
        # By Environment and whether they have started.
        self._runs: Counter[tuple[str, bool]] = Counter()

    def runs_in(self, name: str) -> tuple[int, int]:
        """How many live runs of an Environment have started, and how many have not."""
        return self._runs[name, True], self._runs[name, False]

    def all_changed(self) -> None:
        """Nodes have changed, or what is free on them; most Environments share some."""
        for environment in self._environments:
            self.changed(environment.metadata.name)

    def changed(self, name: str) -> None:
        """Something about one Environment has changed."""
        if name not in self._queued:
            self._queued.add(name)
            self._wake(EnvironmentKey(name))

    def taken(self, name: str) -> None:
        """An Environment is being reconciled: queue it again for later changes."""
        self._queued.discard(name)

    def run_changed(self, old: ExecutionView | None, new: ExecutionView | None) -> None:
        """A live run was added, changed or has gone."""
        before, after = _place(old), _place(new)
        if before == after:
            return
        for place, count in ((before, -1), (after, 1)):
            if place is not None:
                self._runs[place] += count
                if not self._runs[place]:
                    del self._runs[place]
                if self._environments.get(("", place[0])) is not None:
                    self.changed(place[0])


def _place(run: ExecutionView | None) -> tuple[str, bool] | None:
    """The Environment that a run was placed in, and whether it has started."""
    if run is None or not run.status.environment:
        return None
    return run.status.environment, run.status.start_time is not None
