"""What is expected of executions: how long they take, and when those that wait have their turn."""

from __future__ import annotations

from datetime import datetime

from nightcrawler_api.estimates import RUNS_CONSIDERED, estimated_seconds
from nightcrawler_api.executions.requests import readable_spec
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.statuses import created, waits_in_line
from nightcrawler_api.turns import Live, Turn, turn_of
from nightcrawler_crds.allocation import (
    InstallationLimits,
    Subject,
    limit_of_installation,
    rank,
    subjects_of,
    written_limit,
)
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import WorkflowSpec


class Forecasts:
    """Works out what is expected, from the caches; `limits` are the installation's."""

    def __init__(self, cluster: ClusterCache, *, default_timeout: float, limits: InstallationLimits) -> None:
        self._cluster = cluster
        self._default_timeout = default_timeout
        self._limits = limits

    def duration(self, entry: WorkflowEntry, spec: WorkflowSpec) -> float:
        """The expected seconds of the next run of a workflow."""
        completed = entry.runs.page(0, RUNS_CONSIDERED, "completed")
        recent = entry.runs.page(0, RUNS_CONSIDERED)
        return estimated_seconds(spec, completed, recent, self._default_timeout)

    def turn(self, execution: ExecutionView, now: datetime) -> Turn | None:
        """The place in line of an execution, and when its turn is expected; None if it is not in line.

        Of limits that hold beyond this namespace, only its own runs are known here.
        """
        if not waits_in_line(execution):
            return None
        usual: dict[str, float] = {}

        def live(run: ExecutionView) -> Live:
            meta, status, workflow = run.metadata, run.status, run.spec.workflow_ref.name
            entry = self._cluster.index.workflow((meta.namespace, workflow))
            if workflow not in usual:
                usual[workflow] = self._usual(entry)
            spent = (now - status.start_time).total_seconds() if status.start_time else 0.0
            return Live(
                meta.uid,
                rank(entry.priority if entry else None, created(run), meta.namespace, meta.name),
                subjects_of(meta.namespace, workflow, status.environment),
                max(0.0, usual[workflow] - spent),
                in_line=waits_in_line(run),
            )

        return turn_of(execution.metadata.uid, map(live, self._cluster.index.runs.live()), self._limit_of)

    def _limit_of(self, subject: Subject) -> int | None:
        match subject.kind:
            case "Workflow":
                entry = self._cluster.index.workflow((subject.namespace, subject.name))
                return written_limit(entry.view.spec) if entry else None
            case "Environment":
                found = (e for e in self._cluster.environments() if e.metadata.name == subject.name)
                return next((written_limit(environment.spec) for environment in found), None)
            case "Namespace" | "Installation":
                return limit_of_installation(subject, self._limits)

    def _usual(self, entry: WorkflowEntry | None) -> float:
        spec = readable_spec(entry.view) if entry else None
        if entry is None or not isinstance(spec, WorkflowSpec):
            return self._default_timeout
        return self.duration(entry, spec)
