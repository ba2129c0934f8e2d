"""Examples are copied, so they hold to the models and to each other. The e2e tests run them."""

from __future__ import annotations

import json

import msgspec
import pytest
import yaml

from nightcrawler_crds.kube.views import ProfileView
from nightcrawler_crds.v1alpha1 import (
    ComputeProfileSpec,
    EnvironmentSpec,
    Step,
    WorkflowExecutionSpec,
    WorkflowSpec,
)
from nightcrawler_crds.validation import (
    PodPolicy,
    own_template_problems,
    parameter_problems,
    profile_problems,
    workflow_problems,
)
from tests.support import examples
from tests.support.chart import CHART

PUBLIC_IMAGES = {"busybox:1", "python:3.11-slim-bookworm"}


@pytest.fixture(params=examples.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_example_has_a_run_and_every_run_an_example() -> None:
    files = {file.stem for file in examples.FOLDER.glob("*.yaml")}
    assert files - {"environments", "pools", "compute-profiles"} == set(examples.NAMES)


def test_the_workflow_can_run(name: str) -> None:
    spec = WorkflowSpec.model_validate(examples.workflow(name)["spec"])
    assert workflow_problems(spec, PodPolicy()) == []


def test_the_run_names_its_workflow_and_gives_the_parameters_it_wants(name: str) -> None:
    workflow, run = examples.workflow(name), examples.run(name)
    execution = WorkflowExecutionSpec.model_validate(run["spec"])
    assert execution.workflow_ref.name == workflow["metadata"]["name"] == name
    assert run["metadata"] == {"generateName": f"{name}-"}
    spec = WorkflowSpec.model_validate(workflow["spec"])
    assert parameter_problems(spec, execution.parameters or {}) == []


def test_images_are_public_and_few(name: str) -> None:
    assert {step["image"] for step in examples.workflow(name)["spec"]["steps"]} <= PUBLIC_IMAGES


def test_environments_that_are_named_exist(name: str) -> None:
    known: set[str] = set()
    for environment in examples.documents(examples.FOLDER / "environments.yaml"):
        spec = EnvironmentSpec.model_validate(environment["spec"])
        known |= {environment["metadata"]["name"], *(spec.aliases or ())}
    named = set(examples.workflow(name)["spec"].get("environments", ()))
    run = examples.run(name)["spec"].get("environment")
    assert named | ({run} if run else set()) <= known


def test_the_pools_are_environments_without_mistakes() -> None:
    for environment in examples.documents(examples.FOLDER / "pools.yaml"):
        spec = EnvironmentSpec.model_validate(environment["spec"])
        assert own_template_problems(environment["metadata"]["name"], spec) == []


def test_profiles_that_are_named_exist(name: str) -> None:
    here = examples.of_kind(examples.FOLDER / f"{name}.yaml", "ComputeProfile")
    shipped = examples.documents(examples.FOLDER / "compute-profiles.yaml")
    known = [msgspec.convert(document, ProfileView) for document in (*here, *shipped)]
    spec = WorkflowSpec.model_validate(examples.workflow(name)["spec"])
    assert profile_problems(spec, known) == []


def test_the_profiles_are_those_of_the_chart() -> None:
    chart = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["computeProfiles"]["profiles"]
    shipped = examples.documents(examples.FOLDER / "compute-profiles.yaml")
    assert {document["metadata"]["name"]: document["spec"] for document in shipped} == chart
    for spec in chart.values():
        ComputeProfileSpec.model_validate(spec)


def test_the_readme_lists_every_example(name: str) -> None:
    assert f"| [{name}]({name}.yaml) |" in (examples.FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_rest_body_has_steps_that_can_run() -> None:
    body = json.loads((examples.FOLDER / "rest" / "prime-search.json").read_text(encoding="utf-8"))
    steps = [Step.model_validate(step) for step in body["steps"]]
    spec = WorkflowSpec.model_validate({"steps": body["steps"], "config": body["config"]})
    assert workflow_problems(spec, PodPolicy()) == []
    assert {step.image for step in steps} <= PUBLIC_IMAGES
