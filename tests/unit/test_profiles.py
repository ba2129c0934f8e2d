"""Compute profiles: which one a step uses, what it adds to the step, and what is refused."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from nightcrawler_api.executions.requests import not_runnable_reason, request_errors
from nightcrawler_api.executions.schemas import ExecuteRequest
from nightcrawler_api.workflows.drafts import desired_spec, validate
from nightcrawler_api.workflows.presenter import Fallbacks, config
from nightcrawler_crds.building.job import job
from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.planning.resolved import resolve
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_crds.validation import PodPolicy, find_profile, profile_problems, used_profiles
from nightcrawler_operator.builders.revision import manifest, recorded, revision_of
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.decisions.workflow import status_patch
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import LookForProfiles
from tests.support.snapshots import (
    EXECUTION,
    EXECUTION_UID,
    a_new_execution,
    a_profile,
    a_spec,
    a_step,
    a_workflow,
    an_environment,
    at,
    job_name,
)

Json = dict[str, Any]

GPU: Final = a_profile(
    "gpu-optimized",
    displayName="GPU-Optimized",
    resources={"cpu": 8, "memory": "32 GB", "gpu": "2x A100"},
    sharedMemory="8 GB",
    nodeSelector={"disk": "ssd"},
    tolerations=[{"key": "gpu", "operator": "Exists"}],
    runtimeClassName="nvidia",
    priorityClassName="batch",
    env=[{"name": "LOADERS", "value": "4"}, {"name": "MODE", "value": "fast"}],
)
SMALL: Final = a_profile("small", resources={"cpu": "100m", "memory": "64 MB"})
USES: Final = {"config": {"computeProfile": "GPU-Optimized"}}
UNKNOWN: Final = "there is no compute profile 'Huge'; there are: GPU-Optimized, small"


def the_pod(step: Json, workflow: Json, environment: Json | None = None) -> Json:
    """The Pod template of a step that uses these profiles."""
    made = a_step(**step)
    revision = revision_of(a_workflow(a_spec(made, **workflow)), [GPU, SMALL])
    run = Run(
        execution=EXECUTION,
        execution_uid=EXECUTION_UID,
        namespace="default",
        workflow="wf",
        revision=revision,
        parameters={},
        environment=EnvironmentSpec.model_validate(environment or {}),
    )
    template: Json = job(run, NewJob("train", 1, job_name("train")), Limits())["spec"]["template"]["spec"]
    return template


def asked(step: Json, workflow: Json, environment: Json | None = None) -> Json:
    resources: Json = the_pod(step, workflow, environment)["containers"][0].get("resources", {})
    return {"cpu": resources.get("requests", {}).get("cpu"), **resources.get("limits", {})}


# --- which one -------------------------------------------------------------------------------------


def test_a_profile_goes_by_its_name_before_a_display_name_of_which_the_oldest_wins() -> None:
    by_name = a_profile("GPU-Optimized", created=9)
    older, newer = a_profile("b", 1, displayName="X"), a_profile("a", 2, displayName="X")
    assert find_profile("GPU-Optimized", [GPU, by_name]) is by_name
    assert find_profile("GPU-Optimized", [GPU]) is GPU
    assert find_profile("gpu-optimized", [GPU]) is GPU
    assert find_profile("X", [newer, older]) is older
    assert find_profile("gpu-OPTIMIZED", [GPU]) is None


# --- what it adds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "workflow", "expected"),
    [
        ({}, {}, {"cpu": None}),
        ({}, USES, {"cpu": "8", "memory": "40G", "nvidia.com/gpu": "2"}),
        ({"computeProfile": "small"}, USES, {"cpu": "100m", "memory": "64M"}),
        ({"computeProfile": "None"}, USES, {"cpu": None}),
        ({"computeProfile": "gpu-optimized"}, {}, {"cpu": "8", "memory": "40G", "nvidia.com/gpu": "2"}),
        (
            {"resources": {"gpu": "None"}},
            {"config": {**USES["config"], "resources": {"cpu": "1", "memory": "1 GB"}}},
            {"cpu": "1", "memory": "9G"},
        ),
        ({"resources": {"memory": "None"}}, USES, {"cpu": "8", "nvidia.com/gpu": "2"}),
        ({"resources": {"cpu": 3}}, USES, {"cpu": "3", "memory": "40G", "nvidia.com/gpu": "2"}),
    ],
)
def test_fields_of_step_and_workflow_override_those_of_the_profile(
    step: Json, workflow: Json, expected: Json
) -> None:
    assert asked(step, workflow) == expected


def test_the_environment_overrides_the_profile() -> None:
    limited = {"cpuLimit": "Request"}
    assert asked({"computeProfile": "small"}, {}, limited)["cpu"] == "100m"
    pod = the_pod({}, USES, {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "pool"}]})
    assert pod["nodeSelector"] == {"disk": "ssd", "pool": "gpu"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}, {"key": "pool"}]


def test_shared_memory_is_a_volume_in_memory_at_dev_shm() -> None:
    pod = the_pod({"resources": {"ephemeralStorage": "1 GB"}}, USES)
    assert pod["volumes"] == [
        {"name": "scratch", "emptyDir": {"sizeLimit": "1G"}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8G"}},
    ]
    mounts = [(mount["name"], mount["mountPath"]) for mount in pod["containers"][0]["volumeMounts"]]
    assert mounts == [("scratch", "/scratch"), ("shared-memory", "/dev/shm")]


def test_the_steps_own_variables_override_the_profiles() -> None:
    own = [{"name": "MODE", "value": "slow"}]
    env = the_pod({"env": own}, USES)["containers"][0]["env"]
    named = [(one["name"], one["value"]) for one in env if not one["name"].startswith("NIGHTCRAWLER_")]
    assert named == [("LOADERS", "4"), ("MODE", "slow")]


def test_classes_are_the_profiles_unless_the_pod_template_names_others() -> None:
    pod = the_pod({}, USES)
    assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("nvidia", "batch")
    other = the_pod({"podTemplate": {"spec": {"runtimeClassName": "gvisor"}}}, USES)
    assert other["runtimeClassName"] == "gvisor"


# --- what a run keeps ------------------------------------------------------------------------------


def test_the_profile_is_part_of_the_revision_and_is_read_from_there() -> None:
    workflow = a_workflow(a_spec("train", **USES))
    before = revision_of(workflow, [GPU, SMALL])
    changed = a_profile("gpu-optimized", displayName="GPU-Optimized", resources={"cpu": 1})
    assert revision_of(workflow, [changed]).name != before.name
    assert revision_of(workflow, [GPU]).name == before.name, "only what it uses counts"
    body = msgspec.json.encode(manifest(workflow, before))
    kept = recorded(msgspec.json.decode(body, type=RevisionView, strict=False))
    assert kept == before
    step = kept.steps["train"]
    assert resolve(step, kept, EnvironmentSpec(), Limits()).resources.cpu == 8


def test_without_a_profile_a_revision_keeps_its_name() -> None:
    workflow = a_workflow(a_spec("train"))
    assert revision_of(workflow, [GPU]).name == revision_of(workflow).name
    assert "profiles" not in manifest(workflow, revision_of(workflow, [GPU]))["data"]


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "workflow", "pointer", "message"),
    [
        ({}, {"config": {"computeProfile": "Huge"}}, "/config/computeProfile", UNKNOWN),
        ({"computeProfile": "Huge"}, USES, "/steps/0/computeProfile", f"step 'train': {UNKNOWN}"),
        (
            {"computeProfile": "small"},
            {"config": {"computeProfile": "Huge"}},
            "/config/computeProfile",
            UNKNOWN,
        ),
    ],
)
def test_an_unknown_profile_is_refused_with_the_existing_ones(
    step: Json, workflow: Json, pointer: str, message: str
) -> None:
    (problem,) = profile_problems(a_spec(a_step(**step), **workflow), [SMALL, GPU])
    assert (problem.pointer, problem.reason, problem.message) == (
        pointer,
        conditions.UNKNOWN_PROFILE,
        message,
    )


def test_without_any_profile_the_refusal_says_so() -> None:
    (problem,) = profile_problems(a_spec("train", **USES), [])
    assert problem.message == (
        "there is no compute profile 'GPU-Optimized'; there are none; apply one, or leave it out"
    )


def test_a_profile_with_an_impossible_amount_is_refused_with_its_field() -> None:
    spec = a_spec("train", config={"computeProfile": "vast"})
    (problem,) = profile_problems(spec, [a_profile("vast", resources={"cpu": "200000 cores"})])
    assert problem.reason == conditions.INVALID_PROFILE
    assert problem.message.startswith("the compute profile 'vast' cannot be used: spec.resources.cpu")
    assert used_profiles(spec, [a_profile("vast", resources={"cpu": "200000 cores"})]) == {}


def test_a_limit_of_the_profile_below_the_request_of_the_workflow_is_refused() -> None:
    spec = a_spec("train", config={"computeProfile": "capped", "resources": {"cpu": 4}})
    (problem,) = profile_problems(spec, [a_profile("capped", resources={"cpuLimit": 2})])
    assert "step 'train' requests more CPU (4) than its cpuLimit of 2" in problem.message
    assert "that of the compute profile 'capped'" in problem.message


def test_a_run_with_an_unknown_profile_lists_them_before_it_is_refused() -> None:
    execution = a_new_execution("train", config={"computeProfile": "Huge"}).with_fields(profiles=(GPU, SMALL))
    assert decide(execution.with_fields(fresh_profiles=False).build()).lookups == (LookForProfiles(),)
    status = decide(execution.build()).status
    assert status is not None
    (accepted,) = [c for c in status["conditions"] if c["type"] == conditions.ACCEPTED]
    assert (accepted["status"], accepted["reason"]) == ("False", conditions.UNKNOWN_PROFILE)
    assert status["message"] == UNKNOWN


def test_a_run_whose_profile_asks_for_other_nodes_than_its_environment_is_refused() -> None:
    execution = a_new_execution("train", **USES).with_fields(
        profiles=(GPU,), environments=(an_environment("hdd", default=True, nodeSelector={"disk": "hdd"}),)
    )
    status = decide(execution.build()).status
    assert status is not None
    assert status["message"] == (
        "the compute profile 'GPU-Optimized' asks for nodes whose label disk is 'ssd', and those of the "
        "environment 'hdd' have 'hdd'; use another profile, or run in another environment"
    )


def test_a_workflow_is_not_accepted_until_its_profile_exists() -> None:
    workflow = a_workflow(a_spec("train", **USES))
    for profiles, status in (([], "False"), ([GPU], "True")):
        patch = status_patch(workflow, PodPolicy(), profiles, active=0, last=None, now=at(0))
        (accepted,) = [c for c in patch["conditions"] if c["type"] == conditions.ACCEPTED]
        assert accepted["status"] == status
        (deferred,) = [c for c in patch["conditions"] if c["type"] == conditions.DEFERRED]
        assert deferred["status"] == "False"


# --- over REST -------------------------------------------------------------------------------------


def test_a_write_with_an_unknown_profile_is_refused_at_its_field() -> None:
    body: Json = {"name": "x", "config": {"computeProfile": "Huge"}}
    spec = desired_spec({}, body)
    found = validate(body, None, spec, [], PodPolicy(), [GPU, SMALL])
    assert found == [{"pointer": "/config/computeProfile", "detail": UNKNOWN}]
    # Where it exists it is taken, without steps too.
    body["config"] = USES["config"]
    assert validate(body, None, desired_spec({}, body), [], PodPolicy(), [GPU]) == []


def test_a_run_is_refused_while_the_profile_is_missing_or_asks_for_other_nodes() -> None:
    spec = a_spec("train", **USES)
    why = not_runnable_reason("wf-1", spec, PodPolicy(), [SMALL])
    assert why is not None
    assert "there is no compute profile 'GPU-Optimized'; there are: small" in why
    assert not_runnable_reason("wf-1", spec, PodPolicy(), [GPU]) is None
    hdd = an_environment("hdd", default=True, nodeSelector={"disk": "hdd"})
    (error,) = request_errors(ExecuteRequest(), spec, [hdd], [GPU])
    assert error["pointer"] == "/environment"


def test_the_shown_resources_are_the_effective_ones() -> None:
    written = {"config": {**USES["config"], "resources": {"cpu": "1"}}}
    shown = config(written, Fallbacks(), [GPU])
    assert shown["resources"] == {"cpu": "1", "memory": "32 GB", "gpu": "2x A100"}
    assert config({}, Fallbacks(), [GPU])["resources"] == {"cpu": "None", "memory": "None", "gpu": "None"}
