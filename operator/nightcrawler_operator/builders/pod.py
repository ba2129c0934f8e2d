"""The Pod of one attempt of a step, before its podTemplate is merged over it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from nightcrawler_crds import names, words
from nightcrawler_crds.v1alpha1 import Step, StepResources
from nightcrawler_crds.words.gpumodels import Wanted
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import NewJob, Run
from nightcrawler_operator.resources import effective_resources, wanted_gpus

SCRATCH_PATH: Final = "/scratch"
_NO_PRODUCT: Final = "none-there"
_LONGEST_DEADLINE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the installation gives to steps for which nobody wrote any; `queue_timeout` is in seconds."""

    cpu: words.Cpu | None = None
    memory: words.Bytes | None = None
    queue_timeout: float = Limits().queue_timeout


def pod_spec(run: Run, step: Step, new: NewJob, defaults: Defaults) -> dict[str, Any]:
    """The Pod's spec."""
    resources = effective_resources(step, run.revision.spec)
    scratch = (
        words.parse_memory(resources.ephemeral_storage) if resources.ephemeral_storage is not None else None
    )
    gpus = wanted_gpus(resources.gpu, run.gpu_products)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        # A step gets a token only if its podTemplate names a service account.
        "automountServiceAccountToken": _names_account(step),
        "enableServiceLinks": False,
        "containers": [
            _container(run, step, new, _requirements(resources, run, defaults, gpus), scratch is not None)
        ],
    }
    if step.timeout is not None:
        spec["activeDeadlineSeconds"] = _backstop(words.parse_duration(step.timeout), defaults)
    if scratch is not None:
        spec["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": scratch.quantity}}]
    if run.environment.node_selector:
        spec["nodeSelector"] = dict(run.environment.node_selector)
    if run.environment.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in run.environment.tolerations]
    if gpus is not None and gpus.products is not None:
        # Should the last node of the model have gone just now, the Pod waits rather than take any GPU.
        spec["affinity"] = _on_products(gpus.products or (_NO_PRODUCT,))
    return spec


def _backstop(timeout: float, defaults: Defaults) -> int:
    """The deadline of a Pod whose program has not started, in seconds from its kubelet's taking it.

    A program's time begins with its container, and the deadline is lowered then (`decisions.attempts`). This
    one is for when no operator runs: it leaves to the image and the init containers all the time that a
    step may wait, and bounds the program nevertheless.
    """
    return min(math.ceil(timeout + defaults.queue_timeout) + 1, _LONGEST_DEADLINE)


def _container(
    run: Run, step: Step, new: NewJob, requirements: Mapping[str, Any], scratch: bool
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": names.STEP_CONTAINER,
        "image": step.image,
        "env": environment_variables(run, step, new),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if step.command is not None:
        container["command"] = list(step.command)
    if step.args is not None:
        container["args"] = list(step.args)
    if step.working_dir is not None:
        container["workingDir"] = step.working_dir
    if step.env_from is not None:
        container["envFrom"] = [dict(source) for source in step.env_from]
    if requirements:
        container["resources"] = dict(requirements)
    if scratch:
        container["volumeMounts"] = [{"name": "scratch", "mountPath": SCRATCH_PATH}]
    return container


def environment_variables(run: Run, step: Step, new: NewJob) -> list[dict[str, Any]]:
    """The container's variables: parameters, who it is, then the step's own.

    Kubernetes expands `$(NAME)` in values from variables before them. Parameters come
    first and have every `$` doubled, so that a value given by whoever runs the workflow
    cannot read another variable, a Secret's for instance.
    """
    parameters = [
        {"name": f"PARAM_{name}", "value": _escaped(parameter_text(value))}
        for name, value in run.parameters.items()
    ]
    about = {
        "NIGHTCRAWLER_WORKFLOW": run.workflow,
        "NIGHTCRAWLER_EXECUTION": run.execution,
        "NIGHTCRAWLER_STEP": new.step,
        "NIGHTCRAWLER_ATTEMPT": str(new.attempt),
    }
    own = [variable.model_dump(by_alias=True, exclude_unset=True) for variable in step.env or ()]
    return [*parameters, *({"name": n, "value": _escaped(v)} for n, v in about.items()), *own]


def parameter_text(value: Any) -> str:
    """A parameter as a step reads it: strings as they are, all else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _escaped(text: str) -> str:
    return text.replace("$", "$$")


def _requirements(
    resources: StepResources, run: Run, defaults: Defaults, gpus: Wanted | None
) -> dict[str, dict[str, str]]:
    """CPU is requested, memory requested and limited, GPUs limited (which requests them).

    A CPU limit only throttles, so there is one only where somebody asks for it; memory over the request
    would take other Pods down.
    """
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    cpu, cpu_limit = _cpu(resources, run, defaults)
    memory = words.parse_memory(resources.memory) if resources.memory is not None else defaults.memory
    disk = (
        words.parse_memory(resources.ephemeral_storage) if resources.ephemeral_storage is not None else None
    )
    if cpu is not None:
        requests["cpu"] = cpu.quantity
    if cpu_limit is not None:
        limits["cpu"] = cpu_limit.quantity
    if memory is not None:
        requests["memory"] = limits["memory"] = memory.quantity
    if gpus is not None:
        limits[gpus.resource] = str(gpus.count)
    if disk is not None:
        requests["ephemeral-storage"] = limits["ephemeral-storage"] = disk.quantity
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _cpu(resources: StepResources, run: Run, defaults: Defaults) -> tuple[words.Cpu | None, words.Cpu | None]:
    """The request and the limit. A request that nobody wrote gives way to a limit that somebody did."""
    cpu = words.parse_cpu(resources.cpu) if resources.cpu is not None else defaults.cpu
    if resources.cpu_limit is None:
        return cpu, cpu if run.environment.cpu_limit == "Request" else None
    limit = words.parse_cpu(resources.cpu_limit)
    if resources.cpu is None and cpu is not None and limit is not None:
        cpu = min(cpu, limit)
    return cpu, limit


def _on_products(products: tuple[str, ...]) -> dict[str, Any]:
    expression = {"key": names.GPU_PRODUCT_LABEL, "operator": "In", "values": list(products)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _names_account(step: Step) -> bool:
    template = (step.pod_template or {}).get("spec") or {}
    return bool(template.get("serviceAccountName") or template.get("serviceAccount"))
