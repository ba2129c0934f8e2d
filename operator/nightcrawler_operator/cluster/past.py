"""How long the last runs of workflows took, by Environment: what a strategy expects of the next one."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView, PastRunView

_WORKFLOWS: Final = 2_000
_RUNS: Final = 10
_NONE: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType({})


class PastRuns:
    """The durations of the last ten completed runs of each workflow, by Environment.

    They are looked up once for a workflow with a strategy, and followed from then on.
    """

    def __init__(self) -> None:
        self._of: OrderedDict[Key, dict[str, deque[float]]] = OrderedDict()

    def clear(self) -> None:
        """Forget everything: runs may have ended while another replica led."""
        self._of.clear()

    def note(self, workflow: Key, runs: Iterable[PastRunView]) -> None:
        """Note all runs of a workflow that have ended, as they were listed."""
        self._of[workflow] = {}
        self._of.move_to_end(workflow)
        if len(self._of) > _WORKFLOWS:
            self._of.popitem(last=False)
        for run in sorted(runs, key=lambda one: str(one.status.completion_time)):
            self._add(workflow, run)

    def run_ended(self, execution: ExecutionView) -> None:
        """Note a run that has ended now."""
        workflow = (execution.metadata.namespace, execution.spec.workflow_ref.name)
        if workflow in self._of:
            self._add(workflow, execution)

    def usual(self, workflow: Key) -> Mapping[str, tuple[float, ...]] | None:
        """Seconds by Environment; None if they have not been looked up."""
        known = self._of.get(workflow)
        return None if known is None else {place: tuple(seconds) for place, seconds in known.items()}

    def usual_if_known(self, workflow: Key) -> Mapping[str, tuple[float, ...]]:
        """The same for a workflow that may not have been looked up."""
        return self.usual(workflow) or _NONE

    def _add(self, workflow: Key, run: PastRunView | ExecutionView) -> None:
        status = run.status
        if status.phase != "Completed" or status.start_time is None or status.completion_time is None:
            return
        seconds = max(0.0, (status.completion_time - status.start_time).total_seconds())
        of_place = self._of[workflow].setdefault(status.environment or "", deque(maxlen=_RUNS))
        of_place.append(seconds)
