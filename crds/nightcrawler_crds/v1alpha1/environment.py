"""Environment: the nodes that runs use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from nightcrawler_crds.v1alpha1.base import (
    LATER,
    TIME,
    ApiModel,
    Condition,
    FreeForm,
    NodeSelector,
    list_map,
    rule,
)

Price = Annotated[float, Field(ge=0)]
ModelPrices = Annotated[dict[str, Price], Field(max_length=64)]
Quantities = Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=64)]


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
    state: Literal["Open", "Cordoned"] | None = Field(
        default=None,
        description="Cordoned: no step is started here; those that run go on. Open is the default.",
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


class EnvironmentStatus(ApiModel):
    """Observed state of an Environment."""

    ready: bool | None = Field(default=None, description="Whether steps can start here now." + LATER)
    capacity: Quantities | None = Field(default=None, description="Total resources of its nodes." + LATER)
    free: Quantities | None = Field(
        default=None, description="Resources that are not requested by any Pod." + LATER
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Conditions of the environment.",
        json_schema_extra=list_map("type"),
    )
