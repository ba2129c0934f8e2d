"""Everything about a Workflow's spec that its schema cannot check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from nightcrawler_crds import words
from nightcrawler_crds.v1alpha1 import MAX_SPEC_BYTES, Resources, Step, WorkflowSpec, conditions
from nightcrawler_crds.validation import podtemplate, schedules
from nightcrawler_crds.validation.graph import graph_problems
from nightcrawler_crds.validation.notifications import event_problems
from nightcrawler_crds.validation.numbers import number_problems
from nightcrawler_crds.validation.podtemplate import PodPolicy
from nightcrawler_crds.validation.problems import Problem
from nightcrawler_crds.validation.secrets import secret_problems
from nightcrawler_crds.validation.security import permission_problems

_MAX_POD_PROBLEMS: Final = 100
"""How many problems of podTemplates are reported; finding the correct name for each may take a while."""


def workflow_problems(
    spec: WorkflowSpec, policy: PodPolicy, *, size: int | None = None, steps_required: bool = True
) -> list[Problem]:
    """Everything that keeps a workflow from running. `size` is that of its JSON, in bytes."""
    steps = spec.steps or []
    return [
        *_size(spec, size),
        *_no_steps(steps, required=steps_required),
        *graph_problems(spec),
        *_schedule(spec),
        *event_problems(spec),
        *permission_problems(spec),
        *_numbers(spec),
        *_cpu_limits(spec),
        *secret_problems(spec),
        *islice(_pods(steps, policy), _MAX_POD_PROBLEMS),
    ]


def _size(spec: WorkflowSpec, size: int | None) -> Iterable[Problem]:
    if size is None:
        size = len(msgspec.json.encode(spec.model_dump(by_alias=True, exclude_unset=True, mode="json")))
    if size > MAX_SPEC_BYTES:
        message = f"the spec has {size} bytes of JSON; at most {MAX_SPEC_BYTES} are allowed"
        yield Problem("", conditions.TOO_LARGE, message)


def _no_steps(steps: Iterable[Step], *, required: bool) -> Iterable[Problem]:
    if required and not steps:
        message = "the workflow has no steps; add at least one to run it"
        yield Problem("/steps", conditions.NO_STEPS, message)


def _schedule(spec: WorkflowSpec) -> Iterable[Problem]:
    # Not in the model: a running execution must be able to read its revision, whatever is refused now.
    schedule = spec.config.schedule if spec.config else None
    for field, message in schedules.problems(schedule) if schedule else ():
        yield Problem(f"/config/schedule/{field}", conditions.INVALID_SPEC, message)


def _numbers(spec: WorkflowSpec) -> Iterable[Problem]:
    """Numbers that the API server may have rounded, in the fields that take any JSON."""
    for index, parameter in enumerate(spec.parameters or ()):
        what = f"the default of the parameter {parameter.name!r}"
        yield from number_problems(what, f"/parameters/{index}/default", parameter.default)
    for index, step in enumerate(spec.steps or ()):
        free_form = [("podTemplate", step.pod_template), ("envFrom", step.env_from)]
        free_form += [(f"env/{at}/valueFrom", one.value_from) for at, one in enumerate(step.env or ())]
        for where, value in free_form:
            yield from number_problems(f"step {step.name!r}", f"/steps/{index}/{where}", value)


def _cpu_limits(spec: WorkflowSpec) -> Iterable[Problem]:
    """CPU limits below the request, which Kubernetes refuses."""
    for_all = (spec.config and spec.config.resources) or Resources()
    for index, step in enumerate(spec.steps or ()):
        own = step.resources or Resources()
        pointer = "/config" if own.cpu_limit is None else f"/steps/{index}"
        cpu = own.cpu if own.cpu is not None else for_all.cpu
        limit = own.cpu_limit if own.cpu_limit is not None else for_all.cpu_limit
        asked = words.parse_cpu(cpu) if cpu is not None else None
        most = words.parse_cpu(limit) if limit is not None else None
        if asked is not None and most is not None and most < asked:
            yield Problem(
                f"{pointer}/resources/cpuLimit",
                conditions.INVALID_SPEC,
                f"step {step.name!r} requests more CPU ({cpu}) than its cpuLimit of {limit}; "
                "raise the limit or lower the request",
            )


def _pods(steps: Iterable[Step], policy: PodPolicy) -> Iterator[Problem]:
    """Problems in the fields that are Kubernetes' own: sources of variables, and podTemplates."""
    for index, step in enumerate(steps):
        at, about = f"/steps/{index}", f"step {step.name!r}:"
        for where, message in podtemplate.env_problems(
            [variable.value_from for variable in step.env or ()], step.env_from or (), policy
        ):
            yield Problem(at + where, conditions.INVALID_SPEC, f"{about} {message}")
        if step.pod_template is not None:
            for where, message in podtemplate.template_problems(step.pod_template, policy):
                pointer = f"{at}/podTemplate{where}"
                yield Problem(pointer, conditions.INVALID_POD_TEMPLATE, f"{about} {message}")
