"""One resolved step: what is in force for a step, from all levels that have a say. Pure.

The levels, weakest first: built-in (`Limits`, `defaults`) < compute profile < Environment < workflow < step.
Compute profiles have no effect yet; `ResolvedStep.resources` and its like are where they will come in.
Builders, retries and waits all use it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from nightcrawler_crds import defaults, words
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Resources, Step, StepResources, Storage, WorkflowSpec
from nightcrawler_crds.words.gpumodels import Wanted, wanted
from nightcrawler_operator.limits import Limits


@dataclass(frozen=True)
class ResolvedStep:
    """A step with all that decides about it. Each value is worked out when it is first asked for."""

    step: Step
    spec: WorkflowSpec
    environment: EnvironmentSpec
    limits: Limits

    @cached_property
    def resources(self) -> StepResources:
        """Field by field the step's words, else those of `config`, as they are written."""
        config = self.spec.config
        of_all = (config and config.resources) or Resources()
        storage = (config and config.storage) or Storage()
        own = self.step.resources or StepResources()
        return StepResources(
            cpu=_first(own.cpu, of_all.cpu),
            cpu_limit=_first(own.cpu_limit, of_all.cpu_limit),
            memory=_first(own.memory, of_all.memory),
            gpu=_first(own.gpu, of_all.gpu),
            ephemeral_storage=_first(own.ephemeral_storage, storage.ephemeral_storage),
        )

    @cached_property
    def cpu(self) -> tuple[words.Cpu | None, words.Cpu | None]:
        """The request and the limit. A built-in request is lowered to a limit that somebody wrote.

        A CPU limit only throttles, so there is one only if the step, the workflow or the Environment asks for
        it, the latter with `cpuLimit: Request`.
        """
        asked, limit = self.resources.cpu, self.resources.cpu_limit
        request = words.parse_cpu(asked) if asked is not None else self.limits.default_cpu
        if limit is None:
            return request, request if self.environment.cpu_limit == "Request" else None
        most = words.parse_cpu(limit)
        if asked is None and request is not None and most is not None:
            request = min(request, most)
        return request, most

    @cached_property
    def memory(self) -> words.Bytes | None:
        """Requested, and the limit as well: more than that would take other Pods down."""
        asked = self.resources.memory
        return words.parse_memory(asked) if asked is not None else self.limits.default_memory

    @cached_property
    def ephemeral_storage(self) -> words.Bytes | None:
        """Requested and limited, and the size of the scratch volume."""
        asked = self.resources.ephemeral_storage
        return words.parse_memory(asked) if asked is not None else None

    def gpus(self, products: Collection[str]) -> Wanted | None:
        """The GPUs that the step gets; `products` are those of the nodes (`nvidia.com/gpu.product`)."""
        asked = words.parse_gpu(self.resources.gpu) if self.resources.gpu is not None else None
        return wanted(asked, products) if asked is not None else None

    @cached_property
    def timeout(self) -> float | None:
        """Seconds that the step's program may run; None if only the run's timeout bounds it."""
        return None if self.step.timeout is None else words.parse_duration(self.step.timeout)

    @cached_property
    def retries(self) -> int:
        """How often the step is tried again after errors of its own: its own value, else the workflow's."""
        config, options = self.spec.config, self.spec.options
        if self.step.retries is not None:
            return self.step.retries
        written = config.retries if config else None
        enabled = options.enable_retry if options else None
        if enabled is False:
            return 0
        if enabled is True:
            return written if written is not None else defaults.RETRIES_IF_ENABLED
        return written or 0

    @cached_property
    def retry_delay(self) -> float:
        """Seconds between an error of the program and the next attempt."""
        written = _first(self.step.retry_delay, self.spec.config.retry_delay if self.spec.config else None)
        return self.limits.default_retry_delay if written is None else words.parse_duration(written)


def run_timeout(spec: WorkflowSpec, limits: Limits) -> float:
    """Seconds that a run may take once its first Pod has started: the workflow's value, else built-in."""
    written = spec.config.timeout if spec.config else None
    return limits.default_timeout if written is None else words.parse_duration(written)


def _first(*levels: words.Word | None) -> words.Word | None:
    """The value of the strongest level that has one; strongest first."""
    return next((value for value in levels if value is not None), None)
