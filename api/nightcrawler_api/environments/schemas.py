"""Responses about environments and compute profiles."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from nightcrawler_api.openapi import DocumentedAs
from nightcrawler_crds.v1alpha1 import GpuModel, MaintenanceWindow, Prices, StepResources

EnvironmentStatus = Literal["ready", "cordoned", "maintenance", "notReady", "unknown"]


class Amounts(TypedDict):
    """Amounts of a node or of several: cores, bytes, and GPUs of all models."""

    cpu: float
    memoryBytes: int
    gpus: int
    storageBytes: NotRequired[int]


class ShownGpus(TypedDict):
    """GPUs of one model and resource; `largestFree` is the most that are free on one node."""

    model: NotRequired[str]
    resource: str
    capacity: int
    free: NotRequired[int]
    largestFree: NotRequired[int]


class ShownNodes(TypedDict):
    """The nodes of an environment: whether an autoscaler adds some, how many there are, and are ready."""

    scaling: Literal["Autoscaled", "Fixed"]
    total: NotRequired[int]
    ready: NotRequired[int]


class EnvironmentRow(TypedDict):
    """An environment in the list; what the operator has not observed yet is missing.

    `capacity` is what all of its nodes have for Pods, `free` what no Pod requests on those that are ready.
    `running` and `waiting` count the runs that have started there, and those that have not;
    at most `maxRunning` of them are under way, if it has such a limit.
    """

    id: str
    name: str
    aliases: list[str]
    default: bool
    status: EnvironmentStatus
    message: str
    nodes: ShownNodes
    capacity: NotRequired[Amounts]
    free: NotRequired[Amounts]
    gpus: NotRequired[list[ShownGpus]]
    running: int
    waiting: int
    maxRunning: NotRequired[int]
    prices: NotRequired[Annotated[dict[str, Any], DocumentedAs(Prices)]]


class EnvironmentList(TypedDict):
    """A page of environments; `total` counts all that match, `nextCursor` is there if others follow."""

    environments: list[EnvironmentRow]
    total: int
    page: int
    pageSize: int
    nextCursor: NotRequired[str]


class ShownNode(TypedDict):
    """The node with the most free CPU, then memory."""

    name: str
    free: Amounts


class EnvironmentDetail(EnvironmentRow):
    """An environment in full; optional fields are shown if set."""

    createdAt: str
    speed: float
    largestFreeNode: NotRequired[ShownNode]
    nodeSelector: NotRequired[dict[str, str]]
    maintenance: NotRequired[list[Annotated[dict[str, Any], DocumentedAs(MaintenanceWindow)]]]
    gpuModels: NotRequired[list[Annotated[dict[str, Any], DocumentedAs(GpuModel)]]]


class ProfileRow(TypedDict):
    """A compute profile in the list; `resources` are as they are written."""

    id: str
    name: str
    resources: Annotated[dict[str, Any], DocumentedAs(StepResources)]
    sharedMemory: NotRequired[str | float]


class ProfileList(TypedDict):
    """A page of compute profiles; `total` counts all that match, `nextCursor` is there if others follow."""

    computeProfiles: list[ProfileRow]
    total: int
    page: int
    pageSize: int
    nextCursor: NotRequired[str]


class ProfileDetail(ProfileRow):
    """A compute profile in full; optional fields are shown if set."""

    createdAt: str
    nodeSelector: NotRequired[dict[str, str]]
    tolerations: NotRequired[list[dict[str, Any]]]
    runtimeClassName: NotRequired[str]
    priorityClassName: NotRequired[str]
    env: NotRequired[list[dict[str, Any]]]
