"""What a decision is made from: one frozen snapshot of everything it may look at, with its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nightcrawler_crds.kube.nativeviews import EventView, JobView, PodView, VolumeClaimView
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.views import (
    AttemptView,
    EnvironmentView,
    ExecutionView,
    OwingView,
    PodEventView,
    ProfileView,
    StepStatusView,
    WorkflowView,
)
from nightcrawler_crds.masking import Mask
from nightcrawler_crds.planning.duration import Past
from nightcrawler_crds.planning.nodes import NO_NODES, Nodes
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.claims import Standing
from nightcrawler_operator.limits import Limits


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the cluster has of one attempt of a step: its Job and its Pods (normally one).

    `pod_lost`: its Job had a Pod that was deleted. `end_reported`: the status of the Job is final.
    `looked_up_at` is set if no watch reports the attempt, because the label was removed: when it was last
    looked up.
    """

    job: JobView | None = None
    pods: tuple[PodView, ...] = ()
    pod_lost: bool = False
    end_reported: bool = False
    looked_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Objects of an attempt that lack the label of the watch, found by name, and when."""

    at: datetime
    job: JobView | None = None
    pods: tuple[PodView, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that is under way in an Environment: since when, and the usual durations of its workflow."""

    started: datetime
    usual: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Outlook:
    """How busy the Environments are, for a run that a strategy places.

    Attributes:
        free: What is free on each node, by its name; None while that is not known.
        running: The runs that are under way, by Environment.
        waiting: How many have been placed there and have not started, by Environment.
        past: How long earlier runs of this workflow took; None if that has not been looked up.
    """

    free: Mapping[str, Mapping[str, float]] | None = None
    running: Mapping[str, tuple[LiveRun, ...]] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    past: Past | None = None


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
    """The Events about an object, and when they were looked up."""

    at: datetime
    events: tuple[EventView, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A time-weighted average, and the highest value."""

    average: float
    peak: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a Pod's step has used so far: cores, bytes, and percent of its GPUs; None if not measured."""

    cpu: Figure | None = None
    memory: Figure | None = None
    gpu: Figure | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision on one execution may look at.

    Attributes:
        named_revision: The revision that the run uses, by its status, else by one of its Jobs, else by its
            spec.
        named_environment: The Environment in which Jobs were created that are not recorded yet.
        outlook: How busy the Environments are; only for a run that a strategy is to place.
        standing: What the allocator says of the run; None if it has claimed no place under limits.
        events: The Events that were looked up, by the UID of their object.
        absent: What a look-up found gone, by name: Jobs, also those that have ended, without a Pod; the
            claim of the volume; the revision.
        refusals: Why the API server refused Jobs, by Job name.
        obstacle: Why it refused what has to be written before Jobs.
        room_made: When finished Jobs were last deleted to make room under a quota.
        deadlines_set: When the deadline of a Pod was sent to the API server, by UID.
        looked_up: When a Job and its Pods, or a revision, were last read from the API server, by name.
        fresh: Whether the workflow was read, or found not to be there, after the execution was observed.
            Each kind has a watch of its own, and that of executions may be ahead.
        fresh_environments: The same of the Environments.
        fresh_profiles: The same of the ComputeProfiles.
        recorded_at: When this process last wrote the status.
        volume_claim: The claim of the run's volume, if there is one.
        usage: What its Pods have used so far, by UID.
        mask: Hides the values of Secrets in messages; None if they have not been read lately.
        completed: The steps that it observed to complete and has not recorded yet.
        targets: The channels for which the namespace has a target; None while that is not known.
        deliveries: What has become of messages and may not be recorded yet, by their keys in the status.
        pod_events: The Events about Pods that were collected and may not be recorded yet, by step and
            attempt.
    """

    now: datetime
    execution: ExecutionView
    limits: Limits
    workflow: WorkflowView | None = None
    revision: Revision | None = None
    named_revision: str | None = None
    named_environment: str | None = None
    outlook: Outlook | None = None
    standing: Standing | None = None
    environments: tuple[EnvironmentView, ...] = ()
    profiles: tuple[ProfileView, ...] = ()
    nodes: Nodes = NO_NODES
    attempts: Mapping[tuple[str, int], Attempt] = field(default_factory=dict)
    events: Mapping[str, ObservedEvents] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    obstacle: Refusal | None = None
    room_made: datetime | None = None
    deadlines_set: Mapping[str, datetime] = field(default_factory=dict)
    looked_up: Mapping[str, datetime] = field(default_factory=dict)
    fresh: bool = True
    fresh_environments: bool = True
    fresh_profiles: bool = True
    recorded_at: datetime | None = None
    volume_claim: VolumeClaimView | None = None
    usage: Mapping[str, Measured] = field(default_factory=dict)
    mask: Mask | None = None
    completed: Mapping[str, StepStatusView] = field(default_factory=dict)
    targets: frozenset[str] | None = None
    deliveries: Mapping[str, NoticeView] = field(default_factory=dict)
    pod_events: Mapping[tuple[str, int], tuple[PodEventView, ...]] = field(default_factory=dict)

    @property
    def lost_revision(self) -> bool:
        """Whether the revision that the run uses was looked for and is gone or unreadable."""
        return self.named_revision in self.absent


@dataclass(frozen=True, slots=True)
class OwingSnapshot:
    """Everything a decision on an execution that has ended and owes something may look at.

    `too_many`: more owe something than may, and this is the one that ended first. `deliveries`: see
    `Snapshot`. `trace` is set once the run's trace is complete, and exported if it is to be: the attempts, by
    step, whose Events were collected for that.
    """

    now: datetime
    execution: OwingView
    limits: Limits
    workflow: WorkflowView | None = None
    too_many: bool = False
    deliveries: Mapping[str, NoticeView] = field(default_factory=dict)
    trace: Mapping[str, tuple[AttemptView, ...]] | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentSnapshot:
    """Everything that the status of an Environment is made from.

    Attributes:
        free: What is free on each node that takes Pods, by its name; None while that is not known.
        unknown: Why it is not known.
        running: The live runs there that have started; None if not all runs of the cluster are known.
        waiting: Those that have not.
    """

    now: datetime
    environment: EnvironmentView
    nodes: Nodes = NO_NODES
    free: Mapping[str, Mapping[str, float]] | None = None
    unknown: str = ""
    running: int | None = None
    waiting: int | None = None
