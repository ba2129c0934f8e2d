"""How long the last runs of workflows took, by Environment: what a strategy expects of the next one."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.kube.views import ExecutionView, PastRunView, PastStepsView
from nightcrawler_crds.planning.duration import Past, Seconds

_WORKFLOWS: Final = 2_000
_STEPS: Final = 20_000
"""Steps of which times are kept, in all: of workflows that have not completed yet."""
_RUNS: Final = 10
_NONE: Final[Mapping[str, Seconds]] = MappingProxyType({})


@dataclass(slots=True)
class _Known:
    """What is known of one workflow: its runs; without a completed one, its steps."""

    runs: dict[str, deque[float]] = field(default_factory=dict)
    steps: dict[str, dict[str, deque[float]]] = field(default_factory=dict)


class PastRuns:
    """The durations of the last ten completed runs of each workflow, by Environment.

    They are looked up once for a workflow with a strategy, and followed from then on. Of a workflow without a
    completed run, the durations of steps that completed are kept.
    """

    def __init__(self) -> None:
        self._of: OrderedDict[Key, _Known] = OrderedDict()

    def clear(self) -> None:
        """Forget everything: runs may have ended while another replica led."""
        self._of.clear()

    def note(
        self, workflow: Key, completed: Iterable[PastRunView], others: Iterable[PastStepsView] = ()
    ) -> None:
        """Note the runs of a workflow as they were listed: the completed ones, or all if there is none."""
        self._of[workflow] = _Known()
        self._of.move_to_end(workflow)
        if len(self._of) > _WORKFLOWS:
            self._of.popitem(last=False)
        for run in sorted(completed, key=lambda one: str(one.status.completion_time)):
            self._add_run(workflow, run)
        for other in sorted(others, key=lambda one: str(one.metadata.creation_timestamp)):
            self._add_steps(workflow, other)

    def run_ended(self, execution: ExecutionView) -> None:
        """Note a run that has ended now."""
        workflow = (execution.metadata.namespace, execution.spec.workflow_ref.name)
        if workflow not in self._of:
            return
        if execution.status.phase == "Completed":
            self._add_run(workflow, execution)
        else:
            self._add_steps(workflow, execution)

    def of(self, workflow: Key) -> Past | None:
        """What is known of a workflow; None if that has not been looked up."""
        known = self._of.get(workflow)
        if known is None:
            return None
        steps = {place: _frozen(seconds) for place, seconds in known.steps.items()}
        return Past(_frozen(known.runs), steps)

    def runs_of(self, workflow: Key) -> Mapping[str, Seconds]:
        """The seconds of completed runs by Environment, of a workflow that may not have been looked up."""
        known = self._of.get(workflow)
        return _frozen(known.runs) if known is not None else _NONE

    def _add_run(self, workflow: Key, run: PastRunView | ExecutionView) -> None:
        status, known = run.status, self._of[workflow]
        if status.phase != "Completed" or status.start_time is None or status.completion_time is None:
            return
        seconds = max(0.0, (status.completion_time - status.start_time).total_seconds())
        known.runs.setdefault(status.environment or "", deque(maxlen=_RUNS)).append(seconds)
        known.steps.clear()

    def _add_steps(self, workflow: Key, run: PastStepsView | ExecutionView) -> None:
        status, known = run.status, self._of[workflow]
        if known.runs:
            return
        of_place = known.steps.setdefault(status.environment or "", {})
        for name, step in status.steps.items():
            if step.phase == "Completed" and step.start_time and step.completion_time:
                seconds = max(0.0, (step.completion_time - step.start_time).total_seconds())
                of_place.setdefault(name, deque(maxlen=_RUNS)).append(seconds)
        self._drop_oldest_steps()

    def _drop_oldest_steps(self) -> None:
        with_steps = [known for known in self._of.values() if known.steps]
        kept = sum(len(steps) for known in with_steps for steps in known.steps.values())
        for known in with_steps:
            if kept <= _STEPS:
                return
            kept -= sum(map(len, known.steps.values()))
            known.steps.clear()


def _frozen(seconds: Mapping[str, deque[float]]) -> dict[str, Seconds]:
    return {name: tuple(all_) for name, all_ in seconds.items()}
