"""What happened in an execution, and when: each step's wait, attempts and end; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter

from nightcrawler_api.state.statuses import created, ended, execution_status, step_status
from nightcrawler_api.timelines.schemas import Timeline, TimelineStep
from nightcrawler_crds import clock
from nightcrawler_crds.kube.views import ExecutionView, StepStatusView
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions

Dependencies = Mapping[str, Sequence[str]]
"""For each step, in the order of the spec, those that must have completed before it starts."""


def dependencies(spec: WorkflowSpec) -> Dependencies:
    """What the steps of a workflow wait for."""
    steps = spec.steps or []
    if spec.effective_order == "Graph":
        return {step.name: list(step.depends_on or ()) for step in steps}
    names = [step.name for step in steps]
    return {name: names[max(index - 1, 0) : index] for index, name in enumerate(names)}


def timeline(execution: ExecutionView, depends: Dependencies | None, now: datetime) -> Timeline:
    """The times of an execution; without `depends` it lacks what its steps waited for."""
    steps, begin = execution.status.steps, created(execution)
    view = _Steps(steps, depends, begin, now)
    order = [*(depends or ()), *(name for name in steps if name not in (depends or ()))]
    shown: Timeline = {
        "executionId": execution.metadata.name,
        "workflowId": execution.spec.workflow_ref.name,
        "status": execution_status(execution),
        "createdAt": clock.to_wire(begin),
        "steps": [view.step(name) for name in order],
    }
    if (accepted := _since(execution, conditions.ACCEPTED)) is not None:
        shown["acceptedAt"] = clock.to_wire(accepted)
    if (placed := _since(execution, conditions.PLACED)) is not None:
        shown["placedAt"] = clock.to_wire(placed)
    if execution.status.start_time is not None:
        shown["startTime"] = clock.to_wire(execution.status.start_time)
    if (end := ended(execution)) is not None:
        shown["endTime"] = clock.to_wire(end)
        if path := view.critical_path():
            shown["criticalPath"] = path
    return shown


def _since(execution: ExecutionView, kind: str) -> datetime | None:
    """Since when a condition is True; None if it is not."""
    found = (
        c.last_transition_time for c in execution.status.conditions if (c.type, c.status) == (kind, "True")
    )
    return next(found, None)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of an execution that was created at `begin`."""

    status: Mapping[str, StepStatusView]
    depends: Dependencies | None
    begin: datetime
    now: datetime

    def step(self, name: str) -> TimelineStep:
        """The times of a step."""
        step = self.status.get(name)
        shown: TimelineStep = {"name": name, "status": step_status(step)}
        if self.depends is not None:
            shown["dependsOn"] = list(self.depends.get(name, ()))
        ready = self._ready(name)
        if ready is not None:
            shown["readyTime"] = clock.to_wire(ready)
        if step is None:
            return shown
        if step.start_time is not None:
            shown["startTime"] = clock.to_wire(step.start_time)
            if ready is not None and step.attempt <= 1:
                # Of a later attempt it would include the earlier ones.
                shown["waitSeconds"] = _seconds(ready, step.start_time)
            until = step.completion_time or (self.now if step.phase == "Running" else None)
            if until is not None:
                shown["durationSeconds"] = _seconds(step.start_time, until)
        if step.completion_time is not None:
            shown["endTime"] = clock.to_wire(step.completion_time)
        if step.attempt:
            shown["attempt"] = step.attempt
        if step.disruptions:
            shown["disruptions"] = step.disruptions
        return shown

    def _ready(self, name: str) -> datetime | None:
        """When all that a step depends on had completed; None if that is not so, or not known."""
        if self.depends is None or name not in self.depends:
            return None
        ends = [self._completed(before) for before in self.depends[name]]
        known = [end for end in ends if end is not None]
        return max([self.begin, *known]) if len(known) == len(ends) else None

    def _completed(self, name: str) -> datetime | None:
        step = self.status.get(name)
        return step.completion_time if step is not None and step.phase == "Completed" else None

    def critical_path(self) -> list[str]:
        """The step that ended last, before it the last to end of those that it waited for, and so on."""
        if self.depends is None:
            return []
        ends = {name: step.completion_time for name, step in self.status.items() if step.completion_time}
        # Times are of whole seconds: of steps that ended in the same one, the last is one that waited.
        place = {name: index for index, name in enumerate(TopologicalSorter(self.depends).static_order())}
        candidates = [name for name in self.depends if name in ends]
        path: list[str] = []
        while candidates:
            last = max(candidates, key=lambda name: (ends[name], place[name]))
            path.append(last)
            candidates = [name for name in self.depends[last] if name in ends]
        return path[::-1]


def _seconds(begin: datetime, end: datetime) -> float:
    # Clocks of nodes may differ: a negative duration is none.
    return round(max((end - begin).total_seconds(), 0.0), 3)
