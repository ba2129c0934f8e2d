"""One resolved step: what is in force for a step, from all levels that have a say. Pure.

The levels, weakest first: built-in (`StepDefaults`), compute profile, Environment, workflow, step.
Builders, retries and waits all use it; what the facade shows comes from the same `effective_resources`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nightcrawler_crds import defaults, names, words
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import (
    AccessMode,
    ComputeProfileSpec,
    EnvironmentSpec,
    EnvVar,
    Step,
    StepResources,
    WorkflowSpec,
)
from nightcrawler_crds.validation import effective_resources, first_word
from nightcrawler_crds.words.gpumodels import Declared, Wanted, wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDefaults:
    """What applies where a workflow sets nothing: the built-in values, or those of the installation."""

    default_timeout: float = defaults.TIMEOUT
    """How long an execution may take from the start of its first Pod, if its workflow sets no timeout."""
    default_retry_delay: float = defaults.RETRY_DELAY
    """Between two attempts after an error of the program, if neither step nor workflow sets it."""
    default_cpu: words.Cpu | None = None
    """Request of steps for which none is set; None requests nothing."""
    default_memory: words.Bytes | None = None
    """Request of steps for which none is set; None requests nothing."""
    storage_class: str | None = None
    """StorageClass of the volumes of runs whose Environment names none; None for the cluster's default."""
    storage_access_mode: AccessMode = "ReadWriteOnce"
    """Access mode of the volumes of runs whose Environment names none."""
    priority_class_prefix: str = ""
    """What precedes a workflow's priority in the names of PriorityClasses; empty: Pods get none for it."""
    steps_otlp_endpoint: str = ""
    """Where steps export what they trace themselves; empty: nowhere."""


@dataclass(frozen=True)
class ResolvedStep:
    """A step with all that decides about it. Each value is worked out when it is first asked for."""

    step: Step
    spec: WorkflowSpec
    environment: EnvironmentSpec
    limits: StepDefaults
    profile: ComputeProfileSpec | None = None

    @cached_property
    def resources(self) -> StepResources:
        """Field by field the step's words, else those of `config`, else the profile's, as written."""
        return effective_resources(self.step, self.spec, self.profile)

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
        """Requested, and the limit as well: more than that would take other Pods down.

        What is written to /dev/shm counts as memory of the container, so its size is added.
        """
        asked = self.resources.memory
        memory = words.parse_memory(asked) if asked is not None else self.limits.default_memory
        shared = self.shared_memory
        return memory if memory is None or shared is None else words.Bytes(memory.count + shared.count)

    @cached_property
    def shared_memory(self) -> words.Bytes | None:
        """The size of /dev/shm; None for the 64 MB that container runtimes give."""
        asked = self.profile.shared_memory if self.profile else None
        return words.parse_memory(asked) if asked is not None else None

    @cached_property
    def env(self) -> tuple[EnvVar, ...]:
        """The variables of the profile, then the step's own, which win where both have one."""
        own = tuple(self.step.env or ())
        named = {variable.name for variable in own}
        preset = (self.profile and self.profile.env) or ()
        return (*(variable for variable in preset if variable.name not in named), *own)

    @cached_property
    def ephemeral_storage(self) -> words.Bytes | None:
        """Requested and limited, and the size of the scratch volume."""
        asked = self.resources.ephemeral_storage
        return words.parse_memory(asked) if asked is not None else None

    def gpus(self, products: Collection[str]) -> Wanted | None:
        """The GPUs that the step gets; `products` are those of the nodes (`nvidia.com/gpu.product`)."""
        asked = words.parse_gpu(self.resources.gpu) if self.resources.gpu is not None else None
        return wanted(asked, products, self._declared_gpus) if asked is not None else None

    def node_selector(self, products: Collection[str]) -> dict[str, str]:
        """The labels of the nodes that the step may use: its own, and those of its Environment, which win."""
        gpus = self.gpus(products)
        return {
            **((self.profile and self.profile.node_selector) or {}),
            **(self._template_of_all.get("nodeSelector") or {}),
            **(self._template.get("nodeSelector") or {}),
            **(gpus.node_selector if gpus else {}),
            **(self.environment.node_selector or {}),
        }

    @cached_property
    def tolerations(self) -> list[Mapping[str, Any]]:
        """Its own, and those of its Environment."""
        return [
            *((self.profile and self.profile.tolerations) or ()),
            *(self.environment.tolerations or ()),
            *(self._template_of_all.get("tolerations") or ()),
            *(self._template.get("tolerations") or ()),
        ]

    @property
    def _template(self) -> Mapping[str, Any]:
        return pod_spec_of(self.step.pod_template)

    @property
    def _template_of_all(self) -> Mapping[str, Any]:
        return pod_spec_of(self.environment.pod_template)

    @cached_property
    def _declared_gpus(self) -> tuple[Declared, ...]:
        return declared_gpus(self.environment)

    @property
    def priority_class(self) -> str | None:
        """The PriorityClass of the Pod: of the workflow's priority, else the profile's, else of medium."""
        prefix, written = self.limits.priority_class_prefix, self.spec.priority
        preset = self.profile.priority_class_name if self.profile else None
        if not prefix or (written is None and preset):
            return preset
        return f"{prefix}{written or defaults.PRIORITY}"

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
        of_all = self.spec.config.retry_delay if self.spec.config else None
        written = first_word(self.step.retry_delay, of_all)
        return self.limits.default_retry_delay if written is None else words.parse_duration(written)


def pod_spec_of(pod_template: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The Pod's spec in a podTemplate; empty if there is none."""
    spec: Mapping[str, Any] = (pod_template or {}).get("spec") or {}
    return spec


def declared_gpus(environment: EnvironmentSpec) -> tuple[Declared, ...]:
    """The GPU models that an Environment declares, in their order."""
    return tuple(
        Declared(one.model, one.resource_name or names.GPU_RESOURCE, one.node_selector or {})
        for one in environment.gpu_models or ()
    )


def tolerates_device(resource: str) -> dict[str, str]:
    """The toleration that Kubernetes gives to Pods that ask for a device (ExtendedResourceToleration)."""
    return {"key": resource, "operator": "Exists", "effect": "NoSchedule"}


def resolve(
    step: Step, revision: Revision, environment: EnvironmentSpec, limits: StepDefaults
) -> ResolvedStep:
    """A step of a run in its Environment."""
    return ResolvedStep(step, revision.spec, environment, limits, revision.profile_of(step))


def run_timeout(spec: WorkflowSpec, limits: StepDefaults) -> float:
    """Seconds that a run may take once its first Pod has started: the workflow's value, else built-in."""
    written = spec.config.timeout if spec.config else None
    return limits.default_timeout if written is None else words.parse_duration(written)


def requests(resolved: ResolvedStep, products: Iterable[str]) -> dict[str, float]:
    """What the step's container asks for, in cores, bytes and devices."""
    asked: dict[str, float] = {}
    cpu, _ = resolved.cpu
    gpus = resolved.gpus(tuple(products))
    if cpu is not None:
        asked["cpu"] = cpu.millicores / 1000
    if resolved.memory is not None:
        asked["memory"] = float(resolved.memory.count)
    if resolved.ephemeral_storage is not None:
        asked["ephemeral-storage"] = float(resolved.ephemeral_storage.count)
    if gpus is not None:
        asked[gpus.resource] = float(gpus.count)
    return asked
