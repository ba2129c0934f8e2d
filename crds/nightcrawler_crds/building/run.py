"""What the Jobs of an execution are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nightcrawler_crds import defaults
from nightcrawler_crds.building.volume import Volume
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.planning.onenode import node_terms
from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_crds.validation import PodPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDefaults(StepDefaults):
    """What is in force of every Pod of a step, and what an installation allows."""

    queue_timeout: float = 24 * 3600.0
    """A step's wait for its Pod to start."""
    storage_fs_group: int = defaults.STORAGE_FS_GROUP
    """The group that owns the volumes of runs, for steps that do not run as root; 0 sets none."""
    pod_policy: PodPolicy = field(default_factory=PodPolicy)
    """What Pod templates may contain."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every Job of an execution is built from."""

    execution: str
    execution_uid: str
    namespace: str
    workflow: str
    revision: Revision
    parameters: Mapping[str, Any]
    environment: EnvironmentSpec
    place: str | None = None
    lost_environment: str | None = None
    gpu_products: frozenset[str] = frozenset()
    volume: Volume | None = None
    node_terms: tuple[Mapping[str, Any], ...] = ()
    """Of a run whose volume is on one node and not there yet: where all of its steps fit."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """The Job of one attempt of a step, to be created."""

    step: str
    attempt: int
    name: str


def kept_where_all_fit(run: Run, nodes: Nodes, limits: StepDefaults) -> Run:
    """The run, with the nodes among which its first Pod decides where a volume of one node is."""
    volume = run.volume
    if volume is None or volume.bound or not volume.on_one_node:
        return run
    return replace(run, node_terms=node_terms(run.revision, run.environment, limits, nodes))
