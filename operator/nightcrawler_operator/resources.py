"""What a step gets: the words of the step and its workflow, brought together. Pure."""

from __future__ import annotations

from collections.abc import Collection

from nightcrawler_crds import words
from nightcrawler_crds.v1alpha1 import Resources, Step, StepResources, Storage, WorkflowSpec
from nightcrawler_crds.words.gpumodels import Wanted, wanted


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
        cpu_limit=first(own.cpu_limit, for_all.cpu_limit),
        memory=first(own.memory, for_all.memory),
        gpu=first(own.gpu, for_all.gpu),
        ephemeral_storage=first(own.ephemeral_storage, storage.ephemeral_storage),
    )


def wanted_gpus(gpu: words.Word | None, there: Collection[str]) -> Wanted | None:
    """The GPUs that a container gets, if any; `there` is what the nodes have as `nvidia.com/gpu.product`."""
    asked = words.parse_gpu(gpu) if gpu is not None else None
    return wanted(asked, there) if asked is not None else None
