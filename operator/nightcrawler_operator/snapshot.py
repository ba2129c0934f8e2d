"""What a decision is made from: one frozen picture of everything that matters, with its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from nightcrawler_crds.kube.views import (
    EnvironmentView,
    EventView,
    ExecutionView,
    JobView,
    PodView,
    StepStatusView,
    WorkflowView,
)
from nightcrawler_crds.v1alpha1 import Step, WorkflowSpec, conditions
from nightcrawler_operator.limits import Limits


@dataclass(frozen=True)
class Revision:
    """The content of a workflow that a run uses, under the name of its ControllerRevision."""

    name: str
    spec: WorkflowSpec

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """The steps by name, in the order they are written."""
        return {step.name: step for step in self.spec.steps or ()}

    @cached_property
    def depends(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, the steps that must be Completed before it begins."""
        if self.spec.effective_order == "Graph":
            return {step.name: tuple(step.depends_on or ()) for step in self.steps.values()}
        before: dict[str, tuple[str, ...]] = {}
        last: tuple[str, ...] = ()
        for name in self.steps:
            before[name] = last
            last = (name,)
        return before


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the cluster has of one attempt of a step: its Job and its Pods (more than one only by mishap).

    `lost` says that its Job had a Pod that has been seen to go; `told` that nothing more is to be written
    to the Job's status. `asked` is set if no watch tells of it, for our label was taken off: when it was
    last asked for.
    """

    job: JobView | None = None
    pods: tuple[PodView, ...] = ()
    pod_lost: bool = False
    end_reported: bool = False
    looked_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unwatched:
    """What was found of an attempt by name that lacks the label by which it is watched, and when."""

    at: datetime
    job: JobView | None = None
    pods: tuple[PodView, ...] = ()


@dataclass(frozen=True, slots=True)
class Nodes:
    """What matters of the nodes: the GPU models there are, and which nodes answer."""

    gpu_products: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the API server refused a request; when to try again, or None if that cannot help.

    `since` is when it first refused for that `reason`, `tries` how often it has. `exceeded` are the
    resources of a quota that are used up, as the quota names them.
    """

    message: str
    ask_again: datetime | None
    reason: str = conditions.STEP_FORBIDDEN
    since: datetime | None = None
    tries: int = 1
    exceeded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ObservedEvents:
    """The Events about an object, and when they were asked for."""

    at: datetime
    events: tuple[EventView, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision on one execution may look at.

    `named_revision` is what the record, or else a Job, says the run uses; `events` holds
    those that were looked up, by the UID of what they are about; `absent` the Jobs that a
    fresh look confirmed to be gone, or to have ended, without a Pod; `refusals` why Jobs were
    not taken, by Job name, and `obstacle` why what comes before Jobs is not; `room_made` is when finished
    Jobs were last deleted to make room under a quota; `deadlines_set` when the API server was told the
    deadline of a Pod, by UID. `fresh` and `fresh_environments` say that the workflow, and the
    Environments, were asked for after the execution was heard of: each kind has a watch of its
    own, and that of executions may be ahead. `recorded_at` is when this process last wrote the
    status, if it has; `completed` are the steps that it has seen to have completed and not written yet.
    """

    now: datetime
    execution: ExecutionView
    limits: Limits
    workflow: WorkflowView | None = None
    revision: Revision | None = None
    named_revision: str | None = None
    lost_revision: bool = False
    environments: tuple[EnvironmentView, ...] = ()
    nodes: Nodes = Nodes()
    attempts: Mapping[tuple[str, int], Attempt] = field(default_factory=dict)
    events: Mapping[str, ObservedEvents] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    obstacle: Refusal | None = None
    room_made: datetime | None = None
    deadlines_set: Mapping[str, datetime] = field(default_factory=dict)
    fresh: bool = True
    fresh_environments: bool = True
    recorded_at: datetime | None = None
    completed: Mapping[str, StepStatusView] = field(default_factory=dict)

    @property
    def step_count(self) -> int:
        """How many steps the run has; where its revision is lost, how many are on record."""
        return len(self.revision.steps if self.revision is not None else self.execution.status.steps)
