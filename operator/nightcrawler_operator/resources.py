"""What a step gets: the words of the step and its workflow, brought together. Pure."""

from __future__ import annotations

from collections.abc import Collection

from nightcrawler_crds import words
from nightcrawler_crds.v1alpha1 import Resources, Step, StepResources, Storage, WorkflowSpec


def effective_resources(step: Step, spec: WorkflowSpec) -> StepResources:
    """A step's resources field by field: its own, else those of `config`. Words stay as written."""
    config = spec.config
    for_all = (config and config.resources) or Resources()
    storage = (config and config.storage) or Storage()
    own = step.resources or StepResources()

    def first(mine: words.Word | None, default: words.Word | None) -> words.Word | None:
        return mine if mine is not None else default

    return StepResources(
        cpu=first(own.cpu, for_all.cpu),
        memory=first(own.memory, for_all.memory),
        gpu=first(own.gpu, for_all.gpu),
        ephemeral_storage=first(own.ephemeral_storage, storage.ephemeral_storage),
    )


def gpu_products(gpu: words.Word | None, there: Collection[str]) -> tuple[str, ...] | None:
    """The nodes' `nvidia.com/gpu.product` values that are of the model asked for; None if no model is."""
    wanted = words.parse_gpu(gpu) if gpu is not None else None
    if wanted is None or wanted.model is None:
        return None
    return tuple(sorted(product for product in there if words.model_matches(wanted.model, product)))
