"""Environment: a place to run."""

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
Quantities = Annotated[dict[str, Annotated[str, Field(max_length=64)]], Field(max_length=64)]


class Prices(ApiModel):
    """What an hour here costs. What is not set is free."""

    currency: str | None = Field(
        default=None, pattern="^[A-Z]{3}$", description="Currency, as in ISO 4217: USD."
    )
    cpu_hour: Price | None = Field(default=None, description="One core for an hour: 0.04.")
    memory_gb_hour: Price | None = Field(
        default=None, description="One GB (10^9 bytes) of memory for an hour: 0.005."
    )
    gpu_hour: Price | None = Field(default=None, description="One GPU for an hour: 2.5.")


class MaintenanceWindow(ApiModel):
    """A time in which no step is started here."""

    model_config = ConfigDict(
        json_schema_extra=rule("self.start < self.end", "a maintenance window must end after it begins")
    )

    start: str = Field(description="When it begins: 2025-07-10T14:45:00Z.", json_schema_extra=TIME)
    end: str = Field(description="When it ends.", json_schema_extra=TIME)
    description: str | None = Field(default=None, max_length=1024, description="What is done, for people.")


class KubeconfigSecret(ApiModel):
    """A key of a Secret that holds a kubeconfig."""

    namespace: str = Field(min_length=1, max_length=63, description="Namespace of the Secret.")
    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")
    key: str | None = Field(
        default=None, min_length=1, max_length=253, description="Its key; kubeconfig if not set."
    )


class Cluster(ApiModel):
    """Another cluster that steps run in."""

    kubeconfig_secret: KubeconfigSecret = Field(description="Where the kubeconfig of that cluster is.")


class EnvironmentSpec(ApiModel):
    """Which nodes a step may use when it runs here."""

    display_name: str | None = Field(
        default=None, min_length=1, max_length=256, description="Name for people."
    )
    aliases: list[Annotated[str, Field(min_length=1, max_length=253)]] | None = Field(
        default=None,
        max_length=64,
        description="Other names, such as production or awsVirginia; "
        "where two Environments have the same, the oldest wins.",
    )
    default: bool | None = Field(
        default=None,
        description="Whether runs that name no environment go here; of several, the oldest wins.",
    )
    node_selector: NodeSelector | None = Field(
        default=None, description="Labels of the nodes that steps run on."
    )
    tolerations: list[FreeForm] | None = Field(
        default=None, max_length=64, description="Taints that steps put up with, as Kubernetes has them."
    )
    force_delete_on_lost_node: bool | None = Field(
        default=None,
        description="Whether the Pod on a node that stopped answering is force-deleted, so that "
        "the step is tried elsewhere. Off: it waits, for the program may still be running there.",
    )
    cpu_limit: Literal["None", "Request"] | None = Field(
        default=None,
        description="What a step without resources.cpuLimit gets. Request: its CPU is limited to what it "
        "asks for, as some quotas demand. None, the default: no limit.",
    )
    prices: Prices | None = Field(default=None, description="What an hour here costs." + LATER)
    speed: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="How fast steps run here, where 1 is the usual; 2 is twice as fast." + LATER
    )
    maintenance: list[MaintenanceWindow] | None = Field(
        default=None, max_length=64, description="Times in which no step is started here." + LATER
    )
    cluster: Cluster | None = Field(
        default=None, description="The cluster that steps run in; not set: the operator's own." + LATER
    )


class EnvironmentStatus(ApiModel):
    """What the operator knows of an environment."""

    ready: bool | None = Field(default=None, description="Whether steps can be started here now." + LATER)
    capacity: Quantities | None = Field(default=None, description="What its nodes have, by resource." + LATER)
    free: Quantities | None = Field(default=None, description="What of it nobody has asked for." + LATER)
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Conditions of the environment.",
        json_schema_extra=list_map("type"),
    )
