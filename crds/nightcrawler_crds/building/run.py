"""What the Jobs of an execution are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_crds.validation import PodPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDefaults(StepDefaults):
    """What is in force of every Pod of a step, and what an installation allows."""

    queue_timeout: float = 24 * 3600.0
    """A step's wait for its Pod to start."""
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


@dataclass(frozen=True, slots=True)
class NewJob:
    """The Job of one attempt of a step, to be created."""

    step: str
    attempt: int
    name: str
