"""Views of Kubernetes' own kinds: only the fields that are read, as in `views`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final

import msgspec
from typing_extensions import override

from nightcrawler_crds import names
from nightcrawler_crds.kube.metadata import Condition, Meta
from nightcrawler_crds.kube.sharing import share


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


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


class ClaimSpecView(_Read, frozen=True):
    """What a claim asks for."""

    access_modes: tuple[str, ...] = ()
    storage_class_name: str | None = None


class ClaimStatusView(_Read, frozen=True):
    """Whether a claim is bound to a volume."""

    phase: str = "Pending"


class VolumeClaimView(_Read, frozen=True):
    """The claim of the volume that the steps of a run share."""

    metadata: Meta
    spec: ClaimSpecView = ClaimSpecView()
    status: ClaimStatusView = ClaimStatusView()

    @property
    def bound(self) -> bool:
        """Whether it has a volume."""
        return self.status.phase == "Bound"


class SecretView(_Read, frozen=True):
    """A Secret that steps use; its values are read for masking them."""

    metadata: Meta
    data: dict[str, bytes] = {}

    @override
    def __repr__(self) -> str:
        """Without the values, so that they get into no log."""
        return f"SecretView({self.metadata.namespace}/{self.metadata.name})"


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
    revision: int = 0
    data: dict[str, Any] = {}
