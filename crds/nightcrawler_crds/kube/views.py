"""Views: only the fields of each kind that are read.

Lists and watches are decoded directly into these structs. A Job of 3 kB becomes a few
hundred bytes, so that thousands of running executions fit in a small process. A field
that nothing reads does not belong here.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final, Self

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.metadata import Condition, Meta
from nightcrawler_crds.kube.scheduleviews import ScheduleStatusView
from nightcrawler_crds.kube.sharing import share
from nightcrawler_crds.phases import has_ended


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


# --- our kinds -----------------------------------------------------------------------------------


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
    placement: tuple[PlacementView, ...] | None = None
    steps: dict[str, StepStatusView] = {}

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "phase", "environment", "revision", "progress")
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


class WorkflowStatusView(_Read, frozen=True):
    """A workflow's status."""

    observed_generation: int = 0
    active: int | None = None
    last_run_time: datetime | None = None
    last_execution: str | None = None
    last_phase: str | None = None
    schedule: ScheduleStatusView | None = None
    conditions: tuple[Condition, ...] = ()


class WorkflowView(_Read, frozen=True):
    """A Workflow; `spec` is parsed where it is used."""

    metadata: Meta
    spec: dict[str, Any] = {}
    status: WorkflowStatusView = WorkflowStatusView()


class EnvironmentView(_Read, frozen=True):
    """An Environment; `spec` is parsed into `v1alpha1.EnvironmentSpec` where it is used."""

    metadata: Meta
    spec: dict[str, Any] = {}


class ProfileView(_Read, frozen=True):
    """A ComputeProfile; `spec` is parsed into `v1alpha1.ComputeProfileSpec` where it is used."""

    metadata: Meta
    spec: dict[str, Any] = {}


# --- Kubernetes' kinds ---------------------------------------------------------------------------


class JobStatusView(_Read, frozen=True):
    """A Job's status; it is updated up to a second after the Pod's."""

    start_time: datetime | None = None
    completion_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def end(self) -> Condition | None:
        """The condition with which the Job finished; it creates no Pod after that."""
        return next(
            (c for c in self.conditions if c.status == "True" and c.type in ("Complete", "Failed")), None
        )


class JobSpecView(_Read, frozen=True):
    """Which controller creates the Job's Pods, and whether the Job is suspended."""

    managed_by: str = ""
    suspend: bool = False

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "managed_by")


class JobView(_Read, frozen=True):
    """A Job of ours."""

    metadata: Meta
    spec: JobSpecView = JobSpecView()
    status: JobStatusView = JobStatusView()

    @property
    def managed(self) -> bool:
        """Whether the operator creates its Pod; API servers before 1.32 drop the field."""
        return self.spec.managed_by == names.MANAGED_BY


class WholeJobSpecView(JobSpecView, frozen=True):
    """A Job's spec with the Pod template, as the API server accepted it."""

    template: dict[str, Any] = {}


class WholeJobView(_Read, frozen=True):
    """A Job whose Pod the operator creates."""

    metadata: Meta
    spec: WholeJobSpecView = WholeJobSpecView()
    status: JobStatusView = JobStatusView()

    @property
    def slim(self) -> JobView:
        """The view that is cached."""
        spec = JobSpecView(managed_by=self.spec.managed_by, suspend=self.spec.suspend)
        return JobView(self.metadata, spec, self.status)


class Terminated(_Read, frozen=True):
    """How a container terminated."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Waiting(_Read, frozen=True):
    """Why a container is waiting."""

    reason: str = ""
    message: str = ""


class Running(_Read, frozen=True):
    """Since when a container is running."""

    started_at: datetime | None = None


class ContainerState(_Read, frozen=True):
    """One of the three is set; none means waiting without a reason."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the container is running or has terminated."""
        return self.running is not None or self.terminated is not None


_NO_STATE: Final = ContainerState()


class ContainerStatus(_Read, frozen=True):
    """A container of a Pod.

    `last_state` is the state before the last restart; `started` is false until the startup probe
    succeeds.
    """

    name: str
    image: str = ""
    state: ContainerState = _NO_STATE
    last_state: ContainerState = _NO_STATE
    restart_count: int = 0
    started: bool | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings, and share the empty `last_state` that nearly all have."""
        share(self, "name", "image")
        if self.last_state.terminated is None:
            msgspec.structs.force_setattr(self, "last_state", _NO_STATE)


_DISRUPTION: Final = "DisruptionTarget"


class PodStatusView(_Read, frozen=True):
    """A Pod's status, as its kubelet reports it."""

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()

    def __post_init__(self) -> None:
        """Drop most conditions once all containers have started: thousands of Pods stay cached for long."""
        if self.conditions and self._has_begun:
            kept = tuple(c for c in self.conditions if c.type == _DISRUPTION)
            msgspec.structs.force_setattr(self, "conditions", kept)

    @property
    def _has_begun(self) -> bool:
        containers = (*self.init_container_statuses, *self.container_statuses)
        return bool(self.container_statuses) and all(c.state.has_begun for c in containers)


class InitContainerView(_Read, frozen=True):
    """An init container; one with restartPolicy Always is a sidecar."""

    name: str = ""
    restart_policy: str = ""

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "name", "restart_policy")


class PodSpecView(_Read, frozen=True):
    """A Pod's node, deadline in seconds, and init containers."""

    node_name: str = ""
    active_deadline_seconds: int | None = None
    init_containers: tuple[InitContainerView, ...] = ()

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "node_name")


class PodView(_Read, frozen=True):
    """A Pod of one of our Jobs."""

    metadata: Meta
    spec: PodSpecView = PodSpecView()
    status: PodStatusView = PodStatusView()


class NodeMeta(_Read, frozen=True):
    """A node's metadata: `Meta` with other labels."""

    name: str = ""
    uid: str = ""
    resource_version: str = "0"
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Intern labels: nodes of a pool have most of them in common."""
        interned = {sys.intern(key): sys.intern(value) for key, value in self.labels.items()}
        msgspec.structs.force_setattr(self, "labels", interned)

    @property
    def gpu_product(self) -> str:
        """The GPU model by its label; empty without one."""
        return self.labels.get(names.GPU_PRODUCT_LABEL, "")

    @property
    def key(self) -> tuple[str, str]:
        """Nodes have no namespace."""
        return ("", self.name)

    @property
    def version(self) -> int:
        """The resourceVersion as a number."""
        return int(self.resource_version)


class Taint(_Read, frozen=True):
    """A taint of a node."""

    key: str = ""
    value: str = ""
    effect: str = ""

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "key", "value", "effect")


class NodeSpecView(_Read, frozen=True):
    """What keeps Pods from a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeStatusView(_Read, frozen=True):
    """A node's conditions, and what it has for Pods."""

    conditions: tuple[Condition, ...] = ()
    allocatable: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Intern amounts, and keep of the conditions only Ready, which is read."""
        interned = {sys.intern(key): sys.intern(value) for key, value in self.allocatable.items()}
        msgspec.structs.force_setattr(self, "allocatable", interned)
        ready = tuple(c for c in self.conditions if c.type == "Ready")
        msgspec.structs.force_setattr(self, "conditions", ready)


class NodeView(_Read, frozen=True):
    """A node: its labels and taints, what it has, and whether it is ready."""

    metadata: NodeMeta
    spec: NodeSpecView = NodeSpecView()
    status: NodeStatusView = NodeStatusView()

    @property
    def ready(self) -> bool:
        """Whether the condition Ready is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)


class EventView(_Read, frozen=True):
    """A Kubernetes Event about a Job or a Pod."""

    metadata: Meta
    reason: str = ""
    message: str = ""
    type: str = ""
    last_timestamp: datetime | None = None
    event_time: datetime | None = None


class LeaseSpecView(_Read, frozen=True):
    """A Lease's spec; `renew_time` is by the holder's clock, and is not compared with ours."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class LeaseAnnotations(_Read, frozen=True):
    """The annotation in which the holder of a Lease describes itself, as JSON."""

    holder: str = msgspec.field(default="", name=names.ANNOTATION_HOLDER)


class LeaseMeta(_Read, frozen=True):
    """A Lease's metadata."""

    name: str = ""
    uid: str = ""
    resource_version: str = "0"
    annotations: LeaseAnnotations = LeaseAnnotations()


class LeaseView(_Read, frozen=True):
    """The Lease of the leader."""

    metadata: LeaseMeta
    spec: LeaseSpecView = LeaseSpecView()


class LeaseContainerStatus(_Read, frozen=True):
    """A container of the operator's Pod; `last_state` is the state before the last restart."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class LeasePodStatusView(_Read, frozen=True):
    """The status of the operator's Pod."""

    container_statuses: tuple[LeaseContainerStatus, ...] = ()
    init_container_statuses: tuple[LeaseContainerStatus, ...] = ()


class LeasePodView(_Read, frozen=True):
    """The Pod of a Lease's holder."""

    metadata: Meta
    status: LeasePodStatusView = LeasePodStatusView()


class RevisionView(_Read, frozen=True):
    """A ControllerRevision: `data` is the part of a workflow's spec that runs use."""

    metadata: Meta
    data: dict[str, Any] = {}
