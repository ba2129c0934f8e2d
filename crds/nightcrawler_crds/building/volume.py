"""The volume that the steps of a run share: what is asked for, and by whose word. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.nativeviews import VolumeClaimView
from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.planning.together import ON_SEVERAL_NODES, asked_size
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Storage, WorkflowSpec
from nightcrawler_crds.words import Bytes

WORKSPACE_PATH = "/workspace"
"""Where every step has it."""
NO_PROVISIONER: Final = (
    "there is no provisioner: the cluster has no default StorageClass, and neither the Environment nor the "
    "installation names one"
)
"""Why a claim without a class waits."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume of a run, and its claim.

    Attributes:
        claim: The name of the claim.
        size: How much is asked for.
        access_mode: How it can be mounted.
        storage_class: The StorageClass; None for the cluster's default.
        retain: Whether it is kept when the run's Jobs are deleted, and the run.
        bound: Whether it is there, so that its node is decided, if it is of one node.
    """

    claim: str
    size: Bytes
    access_mode: str
    storage_class: str | None = None
    retain: bool = False
    bound: bool = False

    @property
    def on_one_node(self) -> bool:
        """Whether all that use it at the same time have to be on one node; many drivers keep it there."""
        return self.access_mode != ON_SEVERAL_NODES


def volume_of(
    spec: WorkflowSpec,
    environment: EnvironmentSpec,
    limits: StepDefaults,
    owner: Meta,
    claim: VolumeClaimView | None = None,
) -> Volume | None:
    """The volume of the execution `owner` in an Environment; `claim` is its claim if there is one."""
    size = asked_size(spec)
    if size is None:
        return None
    mode: str = environment.access_mode or limits.storage_access_mode
    if claim is not None and claim.spec.access_modes:
        mode = claim.spec.access_modes[0]  # as it was created, whatever was changed since
    return Volume(
        claim=names.volume_claim_name(owner.name, owner.uid),
        size=size,
        access_mode=mode,
        storage_class=environment.storage_class_name or limits.storage_class,
        retain=_storage(spec).retain is True,
        bound=claim is not None and claim.bound,
    )


def _storage(spec: WorkflowSpec) -> Storage:
    return (spec.config and spec.config.storage) or Storage()
