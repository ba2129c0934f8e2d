"""The Pod of one attempt of a step, before its podTemplate is merged over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.building.run import NewJob, PodDefaults, Run
from nightcrawler_crds.building.volume import WORKSPACE_PATH
from nightcrawler_crds.planning.resolved import ResolvedStep, StepDefaults, resolve
from nightcrawler_crds.tracing import ids
from nightcrawler_crds.v1alpha1 import EnvVar, Step
from nightcrawler_crds.validation import is_secure
from nightcrawler_crds.words.gpumodels import Wanted

SCRATCH_PATH: Final = "/scratch"
SHARED_MEMORY_PATH: Final = "/dev/shm"  # noqa: S108 - where programs expect it, in the step's own container
_SCRATCH: Final = "scratch"
_SHARED_MEMORY: Final = "shared-memory"
_WORKSPACE: Final = "workspace"
_NO_PRODUCT: Final = "none-there"
_LONGEST_DEADLINE: Final = 2**31 - 1


def pod_spec(run: Run, step: Step, new: NewJob, limits: PodDefaults) -> dict[str, Any]:
    """The Pod's spec."""
    resolved = resolve(step, run.revision, run.environment, limits)
    volumes = {**_volumes(resolved), **_workspace(run)}
    gpus = resolved.gpus(run.gpu_products)
    variables = environment_variables(run, resolved.env, new, limits)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        # A step gets a token only if its podTemplate names a service account.
        "automountServiceAccountToken": _names_account(step),
        "enableServiceLinks": False,
        "containers": [_container(resolved, variables, _requirements(resolved, gpus), volumes)],
        **_of_profile(resolved),
    }
    if resolved.priority_class:
        spec["priorityClassName"] = resolved.priority_class
    if run.environment.service_account_name and not _names_account(step):
        spec["serviceAccountName"] = run.environment.service_account_name
    if resolved.timeout is not None:
        spec["activeDeadlineSeconds"] = _backstop(resolved.timeout, limits)
    if volumes:
        spec["volumes"] = [{"name": name, **source} for name, (_, source) in volumes.items()]
    if selector := fixed_selector(run, gpus):
        spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **selector}
    if run.environment.tolerations:
        preset = spec.get("tolerations", [])
        more = [dict(one) for one in run.environment.tolerations if one not in preset]
        spec["tolerations"] = [*preset, *more]
    if gpus is not None and gpus.products is not None:
        # If the last node of the model is gone, the Pod waits and does not take another GPU.
        spec["affinity"] = _on_products(gpus.products or (_NO_PRODUCT,))
    return spec


def _backstop(timeout: float, limits: PodDefaults) -> int:
    """The deadline of a Pod whose program has not started, in seconds from when its kubelet accepted it.

    A step's timeout begins with its container, and the deadline is lowered then (`decisions.attempts`). This
    one is for when no operator runs: it allows the image and the init containers as long as a step may wait,
    and still bounds the program.
    """
    return min(math.ceil(timeout + limits.queue_timeout) + 1, _LONGEST_DEADLINE)


def fixed_selector(run: Run, gpus: Wanted | None) -> dict[str, str]:
    """The node labels that no podTemplate may change: the Environment's, and those of its GPU models."""
    return {**(gpus.node_selector if gpus else {}), **(run.environment.node_selector or {})}


def _of_profile(resolved: ResolvedStep) -> dict[str, Any]:
    """What a compute profile sets of the Pod itself."""
    profile = resolved.profile
    if profile is None:
        return {}
    fields = {
        "nodeSelector": profile.node_selector and dict(profile.node_selector),
        "tolerations": profile.tolerations and [dict(one) for one in profile.tolerations],
        "runtimeClassName": profile.runtime_class_name,
    }
    return {name: value for name, value in fields.items() if value}


def _workspace(run: Run) -> dict[str, tuple[str, dict[str, Any]]]:
    """The volume that it shares with the other steps, with its path and its claim."""
    if run.volume is None:
        return {}
    return {_WORKSPACE: (WORKSPACE_PATH, {"persistentVolumeClaim": {"claimName": run.volume.claim}})}


def _volumes(resolved: ResolvedStep) -> dict[str, tuple[str, dict[str, Any]]]:
    """The volumes of the step's own, each with its path and its emptyDir."""
    scratch, shared = resolved.ephemeral_storage, resolved.shared_memory
    volumes: dict[str, tuple[str, dict[str, Any]]] = {}
    if scratch is not None:
        volumes[_SCRATCH] = (SCRATCH_PATH, {"emptyDir": {"sizeLimit": scratch.quantity}})
    if shared is not None:
        in_memory = {"medium": "Memory", "sizeLimit": shared.quantity}
        volumes[_SHARED_MEMORY] = (SHARED_MEMORY_PATH, {"emptyDir": in_memory})
    return volumes


def _container(
    resolved: ResolvedStep,
    variables: Sequence[Mapping[str, Any]],
    requirements: Mapping[str, Any],
    volumes: Mapping[str, Any],
) -> dict[str, Any]:
    step = resolved.step
    container: dict[str, Any] = {
        "name": names.STEP_CONTAINER,
        "image": step.image,
        "env": list(variables),
        "terminationMessagePolicy": "File" if is_secure(resolved.spec) else "FallbackToLogsOnError",
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
    if volumes:
        container["volumeMounts"] = [{"name": name, "mountPath": path} for name, (path, _) in volumes.items()]
    return container


def environment_variables(
    run: Run, written: Iterable[EnvVar], new: NewJob, limits: StepDefaults
) -> list[dict[str, Any]]:
    """The container's variables: parameters, names of workflow, execution and step, then those `written`.

    Kubernetes expands `$(NAME)` in values from variables before them. Parameters come first and have every
    `$` doubled, so that whoever runs the workflow cannot read another variable, a Secret's for instance.
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
    about |= tracing_variables(run, new, limits)
    own = [variable.model_dump(by_alias=True, exclude_unset=True) for variable in written]
    return [*parameters, *({"name": n, "value": _escaped(v)} for n, v in about.items()), *own]


def tracing_variables(run: Run, new: NewJob, limits: StepDefaults) -> dict[str, str]:
    """By which a program continues the trace of the run, where its workflow sets a traceLevel.

    The names are those of the W3C and of OpenTelemetry, which its libraries read by themselves.
    """
    level, uid = run.revision.spec.trace_level, run.execution_uid
    if level is None:
        return {}
    # At level min a trace has no spans of attempts.
    detailed = level != "min"
    parent = ids.attempt_span(uid, new.step, new.attempt) if detailed else ids.step_span(uid, new.step)
    about = {
        "k8s.namespace.name": run.namespace,
        "nightcrawler.workflow": run.workflow,
        "nightcrawler.execution": run.execution,
        "nightcrawler.step": new.step,
        "nightcrawler.attempt": str(new.attempt),
    }
    variables = {
        "TRACEPARENT": ids.traceparent(uid, parent),
        "OTEL_SERVICE_NAME": run.workflow,
        # Percent-encoded, as OpenTelemetry's specification has it.
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(
            f"{key}={quote(value, safe='')}" for key, value in about.items()
        ),
    }
    if limits.steps_otlp_endpoint:
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = limits.steps_otlp_endpoint
        variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    if level == "debug":
        variables["NIGHTCRAWLER_LOG_LEVEL"] = "debug"
    return variables


def parameter_text(value: Any) -> str:
    """A parameter as a step reads it: strings as they are, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _escaped(text: str) -> str:
    return text.replace("$", "$$")


def _requirements(resolved: ResolvedStep, gpus: Wanted | None) -> dict[str, dict[str, str]]:
    """CPU is requested, memory requested and limited, GPUs limited (which requests them)."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    cpu, cpu_limit = resolved.cpu
    memory, disk = resolved.memory, resolved.ephemeral_storage
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


def _on_products(products: tuple[str, ...]) -> dict[str, Any]:
    expression = {"key": names.GPU_PRODUCT_LABEL, "operator": "In", "values": list(products)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _names_account(step: Step) -> bool:
    template = (step.pod_template or {}).get("spec") or {}
    return bool(template.get("serviceAccountName") or template.get("serviceAccount"))
