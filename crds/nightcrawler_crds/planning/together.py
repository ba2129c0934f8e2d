"""Runs whose steps share a volume: whether it is on one node, and what they ask for there together. Pure.

Steps that have equally many before them may run at the same time, and are counted together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from nightcrawler_crds import words
from nightcrawler_crds.planning.resolved import StepDefaults, requests, resolve
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, WorkflowSpec

ON_SEVERAL_NODES: Final = "ReadWriteMany"
"""The access mode of volumes that can be on several nodes at the same time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Steps that may run at the same time, and what they ask for together."""

    steps: tuple[str, ...]
    asked: Mapping[str, float]


def asked_size(spec: WorkflowSpec) -> words.Bytes | None:
    """The size of the volume that a workflow asks for; None if it asks for none."""
    storage = spec.config.storage if spec.config else None
    written = storage.persistent_volume if storage else None
    return None if written is None else words.parse_memory(written)


def is_on_one_node(spec: WorkflowSpec, environment: EnvironmentSpec, defaults: StepDefaults) -> bool:
    """Whether the steps of a workflow share a volume in an Environment that binds them to one node."""
    mode = environment.access_mode or defaults.storage_access_mode
    return asked_size(spec) is not None and mode != ON_SEVERAL_NODES


def moments(
    revision: Revision, spec: EnvironmentSpec, defaults: StepDefaults, products: Collection[str]
) -> list[Moment]:
    """The steps by how many are before each."""
    levels: dict[int, list[str]] = {}
    for name in revision.steps:
        levels.setdefault(revision.levels[name], []).append(name)
    found = []
    for _, together in sorted(levels.items()):
        asked: dict[str, float] = {}
        for name in together:
            resolved = resolve(revision.steps[name], revision, spec, defaults)
            for resource, amount in requests(resolved, products).items():
                asked[resource] = asked.get(resource, 0.0) + amount
        found.append(Moment(tuple(together), asked))
    return found
