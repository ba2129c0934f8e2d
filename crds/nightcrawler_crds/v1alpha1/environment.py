"""Environment: the nodes that runs use."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from nightcrawler_crds.v1alpha1.base import (
    LATER,
    TIME,
    ApiModel,
    Condition,
    FreeForm,
    MaxRunning,
    NodeSelector,
    list_map,
    rule,
)

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
Price = Annotated[float, Field(ge=0)]
ModelPrices = Annotated[dict[str, Price], Field(max_length=64)]
MAX_QUANTITIES: Final = 64
MAX_GPU_MODELS: Final = 64
Quantities = Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=MAX_QUANTITIES)]


class Prices(ApiModel):
    """Prices per hour. A price that is not set is 0."""

    currency: str | None = Field(
        default=None, pattern="^[A-Z]{3}$", description="Currency, as in ISO 4217: USD."
    )
    cpu_hour: Price | None = Field(default=None, description="Price of one core per hour: 0.04.")
    memory_gb_hour: Price | None = Field(
        default=None, description="Price of one GB (10^9 bytes) of memory per hour: 0.005."
    )
    gpu_hour: Price | None = Field(default=None, description="Price of one GPU per hour: 2.5.")
    gpu_hour_by_model: ModelPrices | None = Field(
        default=None,
        description="Price of one GPU per hour by model, as steps ask for it: {A100: 2.5, H100: 4.9}. "
        "Others have the price gpuHour.",
    )


class GpuModel(ApiModel):
    """GPUs of one model, for nodes whose labels do not tell it."""

    model: str = Field(
        min_length=1,
        max_length=128,
        description="Model, as a step may ask for it: 'NVIDIA A100 80GB', 'AMD Instinct MI300X'.",
    )
    node_selector: NodeSelector | None = Field(
        default=None,
        description="Labels of the nodes that have it; needed if there may be none of them at the moment, "
        "as in a pool that scales from zero.",
    )
    resource_name: str | None = Field(
        default=None,
        max_length=317,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        description="Resource that its device plugin publishes: amd.com/gpu. Default: nvidia.com/gpu.",
    )


class MaintenanceWindow(ApiModel):
    """A period in which no step is started here."""

    model_config = ConfigDict(
        json_schema_extra=rule("self.start < self.end", "a maintenance window must end after it begins")
    )

    start: str = Field(description="Start: 2025-07-10T14:45:00Z.", json_schema_extra=TIME)
    end: str = Field(description="End.", json_schema_extra=TIME)
    description: str | None = Field(default=None, max_length=1024, description="Description.")


class KubeconfigSecret(ApiModel):
    """A key of a Secret that holds a kubeconfig."""

    namespace: str = Field(min_length=1, max_length=63, description="Namespace of the Secret.")
    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")
    key: str | None = Field(
        default=None, min_length=1, max_length=253, description="Key in the Secret; kubeconfig if not set."
    )


class Cluster(ApiModel):
    """Another cluster to run steps in."""

    kubeconfig_secret: KubeconfigSecret = Field(description="Secret with the kubeconfig of that cluster.")


class EnvironmentSpec(ApiModel):
    """Which nodes steps use, and under which conditions."""

    display_name: str | None = Field(default=None, min_length=1, max_length=256, description="Display name.")
    aliases: list[Annotated[str, Field(min_length=1, max_length=253)]] | None = Field(
        default=None,
        max_length=64,
        description="Other names, such as production or awsVirginia; "
        "if two Environments share one, the oldest wins.",
    )
    default: bool | None = Field(
        default=None,
        description="Whether runs that name no environment use this one; of several, the oldest wins.",
    )
    accept_any_name: bool | None = Field(
        default=None,
        description="For the default Environment: whether it is used for names that no Environment has.",
    )
    node_selector: NodeSelector | None = Field(default=None, description="Node selector of every step's Pod.")
    tolerations: list[FreeForm] | None = Field(
        default=None, max_length=64, description="Tolerations of every step's Pod."
    )
    force_delete_on_lost_node: bool | None = Field(
        default=None,
        description="Whether the Pod on an unreachable node is force-deleted, so that "
        "the step is retried elsewhere. Off: it waits, because the container may still be running.",
    )
    cpu_limit: Literal["None", "Request"] | None = Field(
        default=None,
        description="CPU limit of steps without resources.cpuLimit. Request: the same as the request, "
        "which some quotas require. None, the default: no limit.",
    )
    nodes: Literal["Autoscaled", "Fixed"] | None = Field(
        default=None,
        description="Fixed: a run with a step that no node could hold even if it were empty is refused at "
        "once. Autoscaled, the default: its Pod waits, so that an autoscaler may add a node.",
    )
    gpu_models: list[GpuModel] | None = Field(
        default=None,
        max_length=64,
        description="GPU models of nodes that have no label nvidia.com/gpu.product: those of other vendors, "
        "and pools that scale from zero. The first that matches a step's words is used.",
        json_schema_extra=list_map("model"),
    )
    pod_template: FreeForm | None = Field(
        default=None,
        description="A PodTemplateSpec merged into every step's Pod, before the step's own podTemplate.",
    )
    service_account_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="Service account of every step's Pod, which must exist in the run's namespace. Its token "
        "is mounted only into steps that name it themselves.",
    )
    storage_class_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="StorageClass of the volumes that runs share among their steps. Default: the "
        "installation's setting, else the cluster's default class.",
    )
    access_mode: AccessMode | None = Field(
        default=None,
        description="Access mode of these volumes. With ReadWriteMany steps may run on several nodes, else "
        "all on one node. Default: the installation's setting, else ReadWriteOnce.",
    )
    state: Literal["Open", "Cordoned"] | None = Field(
        default=None,
        description="Cordoned: no step is started here; those that run go on. Open is the default.",
    )
    max_running: MaxRunning | None = Field(
        default=None,
        description="How many runs may be under way here at the same time, of all workflows. Further ones "
        "wait in line, by priority, then age. Not set: any number.",
    )
    prices: Prices | None = Field(
        default=None, description="Prices per hour, for estimates and environmentStrategy cost."
    )
    speed: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="Relative speed of steps here; 2 is twice as fast as 1, the default."
    )
    maintenance: list[MaintenanceWindow] | None = Field(
        default=None, max_length=64, description="Periods in which the environment is Cordoned."
    )
    cluster: Cluster | None = Field(
        default=None, description="Cluster to run steps in; not set: the operator's own." + LATER
    )


class LargestFreeNode(ApiModel):
    """The node with the most free CPU, then memory."""

    name: str = Field(max_length=253, description="Name of the node.")
    free: Quantities | None = Field(default=None, description="What is free on it.")


class GpuAmounts(ApiModel):
    """The GPUs of one model."""

    model: str | None = Field(
        default=None,
        max_length=256,
        description="Model, as the label nvidia.com/gpu.product or the Environment's gpuModels has it; not "
        "set if it is not known.",
    )
    resource: str = Field(max_length=317, description="Resource that Pods request: nvidia.com/gpu.")
    capacity: int = Field(ge=0, description="Number on all nodes.")
    free: int | None = Field(default=None, ge=0, description="Number that no Pod requests.")
    largest_free: int | None = Field(default=None, ge=0, description="The most that are free on one node.")


class EnvironmentStatus(ApiModel):
    """Observed state of an Environment."""

    nodes: int | None = Field(
        default=None, ge=0, description="Nodes that nodeSelector and tolerations of the Environment allow."
    )
    ready_nodes: int | None = Field(
        default=None, ge=0, description="How many of them are ready, and not cordoned themselves."
    )
    capacity: Quantities | None = Field(
        default=None, description="What all of its nodes have for Pods: CPU, memory, disk space and devices."
    )
    free: Quantities | None = Field(
        default=None,
        description="What no Pod requests on its ready nodes, ours and others'; not set while that is not "
        "known.",
    )
    largest_free_node: LargestFreeNode | None = Field(
        default=None, description="The node with the most free CPU, then memory: the room for one large step."
    )
    gpus: list[GpuAmounts] | None = Field(
        default=None, max_length=MAX_GPU_MODELS, description="GPUs by model and resource."
    )
    running: int | None = Field(
        default=None,
        ge=0,
        description="Runs that are under way here. Not set by an operator that watches one namespace only.",
    )
    waiting: int | None = Field(
        default=None, ge=0, description="Runs that were placed here and have not started; likewise."
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Conditions of the environment.",
        json_schema_extra=list_map("type"),
    )
