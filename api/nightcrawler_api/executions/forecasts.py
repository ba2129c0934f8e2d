"""What is expected of executions: when those that wait start, how long they take, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from typing import Final

from nightcrawler_api.estimates import RUNS_CONSIDERED, Expected, past_of
from nightcrawler_api.executions.requests import readable_spec
from nightcrawler_api.room import has_room, models
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.statuses import created, is_accepted, waits_in_line
from nightcrawler_api.turns import Live, Turn, turn_of
from nightcrawler_crds.allocation import (
    InstallationLimits,
    Subject,
    limit_of_installation,
    rank,
    subjects_of,
    written_limit,
)
from nightcrawler_crds.kube.views import EnvironmentStatusView, EnvironmentView, ExecutionView
from nightcrawler_crds.planning.candidates import NoPlace, candidates, read_environment
from nightcrawler_crds.planning.choice import Appraisal, choose, comparable
from nightcrawler_crds.planning.cost import expected_cost
from nightcrawler_crds.planning.duration import Past, expected_duration
from nightcrawler_crds.planning.resolved import StepDefaults, run_timeout
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.wait import until_room
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, WorkflowSpec, conditions
from nightcrawler_crds.validation import used_profiles

_NEW: Final = "new"


@dataclass(frozen=True)
class _Question:
    """What a forecast is worked out from, besides the Environment."""

    revision: Revision
    past: Past
    environments: Mapping[str, EnvironmentView]

    @cached_property
    def specs(self) -> dict[str, EnvironmentSpec]:
        """The spec of each Environment, as far as it can be read."""
        return {name: read_environment(view) for name, view in self.environments.items()}

    def place(self, name: str | None) -> tuple[EnvironmentStatusView, EnvironmentSpec]:
        """What is observed in an Environment, and its spec; nothing where there is none."""
        view = self.environments.get(name or "")
        if view is None:
            return EnvironmentStatusView(), EnvironmentSpec()
        return view.status, self.specs[view.metadata.name]


class Forecasts:
    """Works out what is expected, from the caches; `limits` are the installation's.

    What is free in an Environment is known by its status, and of limits that hold beyond this namespace only
    its own runs are.
    """

    def __init__(self, cluster: ClusterCache, *, defaults: StepDefaults, limits: InstallationLimits) -> None:
        self._cluster = cluster
        self._defaults = defaults
        self._limits = limits

    def of_new(
        self,
        entry: WorkflowEntry,
        spec: WorkflowSpec,
        environment: str | None,
        now: datetime,
        uid: str = "",
    ) -> Expected:
        """What is expected of a run that is created now, for an environment or as the workflow says.

        `uid` is that of its execution, if that is known already.
        """
        _, expected = self.placed(entry, spec, environment, now, uid=uid)
        return expected

    def placed(
        self,
        entry: WorkflowEntry,
        spec: WorkflowSpec,
        environment: str | None,
        now: datetime,
        among: Collection[str] | None = None,
        *,
        uid: str = "",
    ) -> tuple[str | None, Expected]:
        """In which Environment it will run, and what is expected of it there.

        `among` are those in which it can run, if that is known.
        """
        question = self._question(entry, spec)
        name, meta = entry.view.metadata.name, entry.view.metadata

        # Thousands may be live: only for a run that has to wait its turn.
        @cache
        def live() -> list[Live]:
            return [run for run in self._live(now) if run.uid != uid]

        def appraised(place: str | None) -> Expected:
            subjects = subjects_of(meta.namespace, name, place)
            expected = self._expected(place, question)
            if all(self._limit_of(subject) is None for subject in subjects):
                return replace(expected, wait=self._wait_for_room(place, question, expected.duration, now))
            position = rank(spec.priority, now, meta.namespace, _NEW)
            new = Live(_NEW, position, subjects, expected.duration, in_line=True)
            turn = turn_of(_NEW, [*live(), new], self._limit_of)
            assert turn is not None, "it is one of those that wait"
            return replace(expected, wait=turn.seconds, queue=turn.queue if turn.seconds != 0 else None)

        place = self._place(spec, environment, now, appraised, among)
        expected = appraised(place)
        return place, replace(expected, wait=None) if expected.wait == math.inf else expected

    def shares_limits(self, place: str | None) -> bool:
        """Whether runs of other namespaces, which are not known here, count towards a limit of a run."""
        shared = [Subject("Installation"), *([Subject("Environment", place)] if place else [])]
        return any(self._limit_of(subject) is not None for subject in shared)

    def of_live(self, entry: WorkflowEntry, execution: ExecutionView, now: datetime) -> Expected | None:
        """What is expected of an execution that has not ended; None of one that ends, or cannot be read."""
        status = execution.status
        spec = readable_spec(entry.view)
        if status.has_ended or execution.spec.cancel or not isinstance(spec, WorkflowSpec):
            return None
        if status.environment is None:
            return self.of_new(entry, spec, execution.spec.environment, now, execution.metadata.uid)
        expected = self._expected(status.environment, self._question(entry, spec))
        if status.start_time is not None:
            return expected
        turn = self._turn(execution, now)
        if turn is not None:
            return replace(expected, place=turn.place, wait=turn.seconds)
        return replace(expected, wait=_wait_since_placed(execution, now))

    def _place(
        self,
        spec: WorkflowSpec,
        wanted: str | None,
        now: datetime,
        appraised: Callable[[str | None], Expected],
        among: Collection[str] | None,
    ) -> str | None:
        """The Environment in which a new run is expected to run, by what is cached here."""
        environments = self._cluster.environments()
        found = candidates(wanted, spec, environments) if environments else NoPlace("", "")
        if isinstance(found, NoPlace):
            return None
        possible = [candidate for candidate in found if not among or candidate.name in among]
        there = [candidate for candidate in possible if candidate.cordon(now) is None] or possible
        strategy = spec.environment_strategy
        if strategy is None or len(there) == 1:
            return there[0].name
        appraisals = []
        for candidate in there:
            expected = appraised(candidate.name)
            appraisals.append(
                Appraisal(
                    candidate.name,
                    expected.wait or 0.0,
                    expected.duration,
                    expected.cost or 0.0,
                    expected.currency,
                )
            )
        best = choose(strategy, comparable(strategy, appraisals))
        return best.name if best is not None else there[0].name

    def _question(self, entry: WorkflowEntry, spec: WorkflowSpec) -> _Question:
        return _Question(
            Revision("", spec, used_profiles(spec, self._cluster.profiles())),
            past_of(entry.runs.page(0, RUNS_CONSIDERED, "completed"), entry.runs.page(0, RUNS_CONSIDERED)),
            {environment.metadata.name: environment for environment in self._cluster.environments()},
        )

    def _expected(self, place: str | None, question: _Question) -> Expected:
        revision, (there, spec) = question.revision, question.place(place)
        duration = expected_duration(place or "", question.specs, question.past, revision, self._defaults)
        if spec.prices is None:
            return Expected(duration)
        cost = expected_cost(revision, spec, duration, models(there), self._defaults)
        return Expected(duration, cost=round(cost, 6), currency=spec.prices.currency)

    def _wait_for_room(
        self, place: str | None, question: _Question, duration: float, now: datetime
    ) -> float | None:
        """The wait of a run that no limit applies to.

        None if it is not known what is free there; infinite if nothing is, and nobody knows for how long.
        """
        there, spec = question.place(place)
        ahead = there.waiting or 0
        room = has_room(there, spec, question.revision, self._defaults, ahead + 1)
        if room is None or room:
            return None if room is None else 0.0
        left = [run.seconds for run in self._live(now, lambda run: _has_started_in(run, place))]
        return until_room(left, ahead, duration, spec, math.inf)

    def _turn(self, execution: ExecutionView, now: datetime) -> Turn | None:
        if not waits_in_line(execution):
            return None
        return turn_of(execution.metadata.uid, self._live(now), self._limit_of)

    def _live(self, now: datetime, which: Callable[[ExecutionView], bool] | None = None) -> list[Live]:
        """The runs of the namespace that have not ended, or some of them."""
        usual: dict[tuple[str, str | None], float] = {}

        def live(run: ExecutionView) -> Live:
            meta, status, workflow = run.metadata, run.status, run.spec.workflow_ref.name
            entry = self._cluster.index.workflow((meta.namespace, workflow))
            where = (workflow, status.environment)
            if where not in usual:
                usual[where] = self._usual(entry, status.environment)
            spent = (now - status.start_time).total_seconds() if status.start_time else 0.0
            return Live(
                meta.uid,
                rank(entry.priority if entry else None, created(run), meta.namespace, meta.name),
                subjects_of(meta.namespace, workflow, status.environment),
                max(0.0, usual[where] - spent),
                # What the operator has not looked at yet is about to claim its places.
                in_line=waits_in_line(run) or not is_accepted(run),
            )

        return [live(run) for run in self._cluster.index.runs.live() if which is None or which(run)]

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

    def _usual(self, entry: WorkflowEntry | None, place: str | None) -> float:
        spec = readable_spec(entry.view) if entry else None
        if entry is None or not isinstance(spec, WorkflowSpec):
            return run_timeout(WorkflowSpec(), self._defaults)
        return self._expected(place, self._question(entry, spec)).duration


def _has_started_in(run: ExecutionView, place: str | None) -> bool:
    return run.status.start_time is not None and run.status.environment == place


def _wait_since_placed(execution: ExecutionView, now: datetime) -> float | None:
    """The wait that a strategy expected when it placed a run, less the time since; None without one."""
    placed = next((c for c in execution.status.conditions if c.type == conditions.PLACED), None)
    chosen = next((one for one in execution.status.placement or () if one.passed_over is None), None)
    if placed is None or placed.last_transition_time is None or chosen is None or chosen.wait is None:
        return None
    return max(0.0, chosen.wait - (now - placed.last_transition_time).total_seconds())
