"""ComputeProfile: a preset of resources, named by its displayName."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nightcrawler_crds.v1alpha1.base import (
    ApiModel,
    Condition,
    EnvVar,
    FreeForm,
    Memory,
    NodeSelector,
    list_map,
)
from nightcrawler_crds.v1alpha1.config import StepResources


class ComputeProfileSpec(ApiModel):
    """Defaults for the steps of workflows that use it.

    A run keeps the values that it began with; changes apply to later runs.
    """

    display_name: str | None = Field(
        default=None, min_length=1, max_length=256, description="Name that workflows refer to: GPU-Optimized."
    )
    resources: StepResources | None = Field(
        default=None, description="Default resources; those of the workflow and the step override them."
    )
    node_selector: NodeSelector | None = Field(
        default=None,
        description="Node selector of every step's Pod; it must not contradict the Environment's.",
    )
    tolerations: list[FreeForm] | None = Field(
        default=None, max_length=64, description="Tolerations of every step's Pod, besides the Environment's."
    )
    runtime_class_name: str | None = Field(
        default=None, max_length=253, description="RuntimeClass of the Pods."
    )
    priority_class_name: str | None = Field(
        default=None, max_length=253, description="PriorityClass of the Pods."
    )
    shared_memory: Memory | None = Field(
        default=None,
        description="Size of /dev/shm, which is added to the step's memory request and limit: '16 GB'.",
    )
    env: Annotated[list[EnvVar], Field(max_length=128)] | None = Field(
        default=None, description="Environment variables of every step; a step's own of the same name win."
    )


class ComputeProfileStatus(ApiModel):
    """Observed state of a ComputeProfile."""

    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        description="Conditions of the profile.",
        json_schema_extra=list_map("type"),
    )
