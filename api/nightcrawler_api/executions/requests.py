"""Whether a workflow can be executed as requested, and the manifest to create; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nightcrawler_api import refusals
from nightcrawler_api.executions.schemas import ExecuteRequest
from nightcrawler_api.refusals import FieldError, at
from nightcrawler_crds import names
from nightcrawler_crds.kube.views import EnvironmentView, ProfileView, WorkflowView
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import (
    NONE_CHOSEN,
    PodPolicy,
    default_environment,
    environment_problems,
    find_environment,
    parameter_problems,
    profile_problems,
    profile_selector_problems,
    unknown_environment,
    used_profiles,
    workflow_problems,
)


def readable_spec(workflow: WorkflowView) -> WorkflowSpec | list[FieldError]:
    """A workflow's spec as a model, or its errors: a manifest may contain what REST refuses."""
    try:
        return WorkflowSpec.model_validate(workflow.spec, extra="ignore")
    except ValidationError as error:
        return refusals.from_model(error.errors(include_url=False), workflow.spec)


def not_runnable_reason(
    name: str, spec: WorkflowSpec, policy: PodPolicy, profiles: Collection[ProfileView] = ()
) -> str | None:
    """Why a workflow cannot run whatever the request, and what to do; None if it can."""
    if not spec.steps:
        return (
            f"the workflow {name!r} has no steps to run; give it some with PUT /api/workflows/{name}. "
            "Workflows created from now on get steps by themselves if the installation names a template "
            "(NIGHTCRAWLER_TEMPLATE_WORKFLOW)."
        )
    problems = workflow_problems(spec, policy) or profile_problems(spec, profiles)
    if problems:
        found = refusals.summary(refusals.from_problems(problems))
        return f"the workflow {name!r} cannot run: {found}; change it with PUT /api/workflows/{name}"
    return None


def no_environment_reason(name: str, request: ExecuteRequest, spec: WorkflowSpec) -> str | None:
    """Why there is no environment to run in, and what to do; None if there is."""
    if request.environment is not None or spec.environments != []:
        return None
    return (
        f"the workflow {name!r} cannot run: {NONE_CHOSEN}; name one in the request's field environment, "
        f"or change the workflow with PUT /api/workflows/{name}"
    )


def request_errors(
    request: ExecuteRequest,
    spec: WorkflowSpec,
    environments: Collection[EnvironmentView],
    profiles: Collection[ProfileView] = (),
) -> list[FieldError]:
    """The errors in a request's environment and parameters."""
    found = [
        at(problem.pointer, problem.message) for problem in parameter_problems(spec, request.parameters or {})
    ]
    if environments and (problem := _environment_finding(request.environment, spec, environments)):
        found.append(at("/environment", problem))
    return found + _placement_errors(request.environment, spec, environments, profiles)


def _placement_errors(
    asked: str | None,
    spec: WorkflowSpec,
    environments: Collection[EnvironmentView],
    profiles: Collection[ProfileView],
) -> list[FieldError]:
    """The podTemplates and profiles that select nodes outside the environment of the run."""
    used, found = used_profiles(spec, profiles), []
    for candidate in _candidates(asked, spec, environments):
        selector = candidate.spec.get("nodeSelector") or {}
        name = candidate.metadata.name
        problems = [
            *environment_problems(spec.steps or (), name, selector),
            *profile_selector_problems(spec, used, name, selector),
        ]
        if not problems:
            return []  # a strategy passes over the others
        found += [at("/environment", problem.message) for problem in problems]
    return found


def _candidates(
    asked: str | None, spec: WorkflowSpec, environments: Collection[EnvironmentView]
) -> list[EnvironmentView]:
    """The environments in which the run may go, as far as they are known; the operator chooses among them."""
    if asked is None and spec.environment_strategy is not None:
        if not spec.environments:
            return list(environments)
        named = [find_environment(name, environments) for name in spec.environments]
        return [environment for environment in named if environment is not None]
    wanted = asked or next(iter(spec.environments or ()), None)
    chosen = find_environment(wanted, environments) if wanted else default_environment(environments)
    return [] if chosen is None else [chosen]


def _environment_finding(
    asked: str | None, spec: WorkflowSpec, environments: Collection[EnvironmentView]
) -> str | None:
    if _candidates(asked, spec, environments):
        return None
    wanted = asked or next(iter(spec.environments or ()), None)
    if wanted is None:
        known = ", ".join(sorted(environment.metadata.name for environment in environments))
        return (
            "neither the request nor the workflow names an environment, and none is the default; "
            f"there are: {known}"
        )
    sentence = unknown_environment(wanted, environments)
    return (
        sentence
        if asked
        else f"the workflow's own: {sentence}; name another one here, or change the workflow"
    )


@dataclass(frozen=True, slots=True)
class Repeated:
    """The earlier run that a request repeats, and the revision to run, if it is not the workflow as it is."""

    execution: str
    revision: str | None


def manifest(
    name: str,
    workflow: WorkflowView,
    request: ExecuteRequest,
    executor: str,
    repeated: Repeated | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """The WorkflowExecution of a request, owned by its workflow."""
    spec: dict[str, Any] = {
        "workflowRef": {"name": workflow.metadata.name},
        "executor": executor,
        "trigger": {"type": "Manual"},
    }
    if request.environment is not None:
        spec["environment"] = request.environment
    if request.parameters is not None:
        spec["parameters"] = request.parameters
    if repeated is not None:
        spec["trigger"] = {"type": "Rerun", "rerunOf": repeated.execution}
        if repeated.revision is not None:
            spec["revision"] = repeated.revision
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {names.LABEL_WORKFLOW: workflow.metadata.name},
        "ownerReferences": [owner_reference(workflow)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": EXECUTIONS.api_version,
        "kind": EXECUTIONS.kind,
        "metadata": metadata,
        "spec": spec,
    }


def owner_reference(workflow: WorkflowView) -> dict[str, Any]:
    """The ownerReference of what belongs to a workflow.

    blockOwnerDeletion is false: nothing needs it, and some clusters require rights on finalizers for it.
    """
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": workflow.metadata.name,
        "uid": workflow.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
