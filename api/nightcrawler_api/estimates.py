"""The expected duration of a run, from earlier runs; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from statistics import median
from typing import Final

from nightcrawler_api.state.statuses import ended, started
from nightcrawler_crds import words
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import WorkflowSpec

RUNS_CONSIDERED: Final = 20
"""Number of latest runs: enough for a median, and outdated ones drop out soon after a change."""


def estimated_seconds(
    spec: WorkflowSpec,
    completed: Sequence[ExecutionView],
    recent: Sequence[ExecutionView],
    default_timeout: float,
) -> float:
    """The expected seconds of the next run.

    The median of the last completed runs; without any, the critical path of the steps' medians, if all steps
    have one; else the timeout.
    """
    if completed:
        return median(map(_seconds, completed))
    steps = _step_medians(recent)
    if spec.steps and all(step.name in steps for step in spec.steps):
        return _critical_path(spec, steps)
    timeout = spec.config.timeout if spec.config else None
    return default_timeout if timeout is None else words.parse_duration(timeout)


def _seconds(execution: ExecutionView) -> float:
    end = ended(execution)
    assert end is not None, "only runs that have ended have a duration"
    return max((end - started(execution)).total_seconds(), 0.0)


def _step_medians(executions: Iterable[ExecutionView]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for execution in executions:
        for name, step in execution.status.steps.items():
            if step.phase == "Completed" and step.start_time and step.completion_time:
                found.setdefault(name, []).append((step.completion_time - step.start_time).total_seconds())
    return {name: median(seconds) for name, seconds in found.items()}


def _critical_path(spec: WorkflowSpec, seconds: Mapping[str, float]) -> float:
    """The longest path through the steps, in seconds; a graph with a cycle would have been refused."""
    steps = spec.steps or []
    if spec.effective_order == "Sequence":
        return sum(seconds[step.name] for step in steps)
    waits_for = {step.name: step.depends_on or [] for step in steps}
    until: dict[str, float] = {}
    for name in TopologicalSorter(waits_for).static_order():
        until[name] = seconds[name] + max((until[before] for before in waits_for[name]), default=0.0)
    return max(until.values())
