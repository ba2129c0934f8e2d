"""Views of our kinds: only the fields that are read.

Lists and watches are decoded directly into these structs. A Job of 3 kB becomes a few
hundred bytes, so that thousands of running executions fit in a small process. A field
that nothing reads does not belong here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

import msgspec

from nightcrawler_crds.kube.metadata import Condition, Meta
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.scheduleviews import ScheduleStatusView
from nightcrawler_crds.kube.sharing import share
from nightcrawler_crds.phases import has_ended


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


class WorkflowRef(_Read, frozen=True):
    """The workflow that an execution runs, in its own namespace."""

    name: str = ""

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "name")


class Trigger(_Read, frozen=True):
    """What created an execution."""

    type: str = "Manual"
    scheduled_time: datetime | None = None
    rerun_of: str | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "type")


class ExecutionSpecView(_Read, frozen=True):
    """An execution's spec, immutable except for `cancel`."""

    workflow_ref: WorkflowRef = WorkflowRef()
    parameters: dict[str, Any] = {}
    environment: str | None = None
    revision: str | None = None
    executor: str | None = None
    trigger: Trigger = Trigger()
    cancel: bool = False


class UsageOfView(_Read, frozen=True):
    """How much of something a step used, in percent."""

    average: int = 0
    peak: int = 0


class UsageView(_Read, frozen=True):
    """What a step used; see `v1alpha1.execution.Usage` for the meaning."""

    cpu: UsageOfView | None = None
    memory: UsageOfView | None = None
    gpu: UsageOfView | None = None


class ResourceUsageView(_Read, frozen=True):
    """What a run used, in percent."""

    cpu: int | None = None
    memory: int | None = None
    gpu: int | None = None


class PodEventView(_Read, frozen=True):
    """An Event about a Pod, as the trace keeps it."""

    time: datetime
    reason: str
    message: str | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "reason")


class AttemptView(_Read, frozen=True):
    """An attempt that has ended; see `v1alpha1.execution.AttemptStatus` for the meaning."""

    number: int
    created: datetime | None = None
    scheduled: datetime | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    node: str | None = None
    events: tuple[PodEventView, ...] | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "reason", "node")


class StepStatusView(_Read, frozen=True):
    """A step's status; see `v1alpha1.execution.StepStatus` for the meaning."""

    phase: str
    attempt: int = 0
    disruptions: int = 0
    start_time: datetime | None = None
    completion_time: datetime | None = None
    job_name: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    preemptions: int = 0
    earlier_seconds: int = 0
    usage: UsageView | None = None
    attempts: tuple[AttemptView, ...] | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "phase")


class PlacementView(_Read, frozen=True):
    """A candidate of a run's placement; see `v1alpha1.execution.PlacementCandidate` for the meaning."""

    environment: str
    wait: float | None = None
    duration: float | None = None
    cost: float | None = None
    currency: str | None = None
    passed_over: str | None = None


class CostView(_Read, frozen=True):
    """What a run has cost; see `v1alpha1.execution.Cost` for the meaning."""

    amount: float
    currency: str | None = None


class ExecutionStatusView(_Read, frozen=True):
    """An execution's status."""

    phase: str = ""
    message: str | None = None
    environment: str | None = None
    revision: str | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    progress: str | None = None
    conditions: tuple[Condition, ...] = ()
    settled: bool | None = None
    duties: tuple[str, ...] | None = None
    notifications: dict[str, NoticeView] | None = None
    trace_level: str | None = None
    placement: tuple[PlacementView, ...] | None = None
    waiting_reason: str | None = None
    waiting_since: datetime | None = None
    cost: CostView | None = None
    resource_usage: ResourceUsageView | None = None
    steps: dict[str, StepStatusView] = {}

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "phase", "environment", "revision", "progress", "waiting_reason", "trace_level")
        for condition in self.conditions:
            share(condition, "type", "status", "reason", "message")

    @property
    def has_ended(self) -> bool:
        """Whether the execution has ended; otherwise it is live."""
        return has_ended(self.phase)


class ExecutionView(_Read, frozen=True):
    """A WorkflowExecution."""

    metadata: Meta
    spec: ExecutionSpecView = ExecutionSpecView()
    status: ExecutionStatusView = ExecutionStatusView()


class OwingSpecView(_Read, frozen=True):
    """An execution's spec, without what only its steps need."""

    workflow_ref: WorkflowRef = WorkflowRef()
    trigger: Trigger = Trigger()


class OwingStatusView(_Read, frozen=True):
    """The status of an execution that has ended, without its steps."""

    phase: str = ""
    completion_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    settled: bool | None = None
    duties: tuple[str, ...] | None = None
    notifications: dict[str, NoticeView] | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "phase")
        for condition in self.conditions:
            share(condition, "type", "status", "reason", "message")


class OwingView(_Read, frozen=True):
    """A WorkflowExecution that has ended and owes something; thousands may, so this has no steps."""

    metadata: Meta
    spec: OwingSpecView = OwingSpecView()
    status: OwingStatusView = OwingStatusView()

    @classmethod
    def of(cls, execution: ExecutionView) -> Self:
        """This view of an execution."""
        spec, status = execution.spec, execution.status
        kept = OwingStatusView(
            phase=status.phase,
            completion_time=status.completion_time,
            conditions=status.conditions,
            settled=status.settled,
            duties=status.duties,
            notifications=status.notifications,
        )
        return cls(execution.metadata, OwingSpecView(spec.workflow_ref, spec.trigger), kept)


class PastRunStatusView(_Read, frozen=True):
    """Where and how long a run that has ended ran."""

    phase: str = ""
    environment: str | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None


class PastRunView(_Read, frozen=True):
    """A run that has ended, as far as estimates look at it."""

    metadata: Meta
    status: PastRunStatusView = PastRunStatusView()


class PastStepView(_Read, frozen=True):
    """A step of an earlier run: how long it took."""

    phase: str = ""
    start_time: datetime | None = None
    completion_time: datetime | None = None


class PastStepsStatusView(_Read, frozen=True):
    """Where a run ran, and its steps."""

    environment: str | None = None
    steps: dict[str, PastStepView] = {}


class PastStepsView(_Read, frozen=True):
    """A run as far as estimates look at its steps."""

    metadata: Meta
    status: PastStepsStatusView = PastStepsStatusView()


class WorkflowStatusView(_Read, frozen=True):
    """A workflow's status."""

    observed_generation: int = 0
    active: int | None = None
    last_run_time: datetime | None = None
    last_execution: str | None = None
    last_phase: str | None = None
    schedule: ScheduleStatusView | None = None
    notifications: dict[str, NoticeView] | None = None
    conditions: tuple[Condition, ...] = ()


class WorkflowView(_Read, frozen=True):
    """A Workflow; `spec` is parsed where it is used."""

    metadata: Meta
    spec: dict[str, Any] = {}
    status: WorkflowStatusView = WorkflowStatusView()


class LargestFreeNodeView(_Read, frozen=True):
    """The node of an Environment with the most room, and what is free on it."""

    name: str
    free: dict[str, str] = {}


class GpuAmountsView(_Read, frozen=True):
    """The GPUs of one model; see `v1alpha1.environment.GpuAmounts` for the meaning."""

    resource: str
    model: str | None = None
    capacity: int = 0
    free: int | None = None
    largest_free: int | None = None


class EnvironmentStatusView(_Read, frozen=True):
    """An Environment's status; see `v1alpha1.environment.EnvironmentStatus` for the meaning."""

    nodes: int | None = None
    ready_nodes: int | None = None
    capacity: dict[str, str] | None = None
    free: dict[str, str] | None = None
    largest_free_node: LargestFreeNodeView | None = None
    gpus: tuple[GpuAmountsView, ...] | None = None
    running: int | None = None
    waiting: int | None = None
    conditions: tuple[Condition, ...] = ()


class EnvironmentView(_Read, frozen=True):
    """An Environment; `spec` is parsed into `v1alpha1.EnvironmentSpec` where it is used."""

    metadata: Meta
    spec: dict[str, Any] = {}
    status: EnvironmentStatusView = EnvironmentStatusView()


class ProfileView(_Read, frozen=True):
    """A ComputeProfile; `spec` is parsed into `v1alpha1.ComputeProfileSpec` where it is used."""

    metadata: Meta
    spec: dict[str, Any] = {}
