"""The Pod of a step: its variables, what it asks for, and where it may run."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.building.pod import pod_spec
from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Step
from nightcrawler_crds.words import parse_cpu, parse_memory
from nightcrawler_operator.limits import Limits
from tests.support.expansion import environment_of, expand
from tests.support.snapshots import EXECUTION, EXECUTION_UID, a_spec, a_step, job_name

Json = dict[str, Any]
A100: Final = frozenset({"NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-PCIE-40GB", "NVIDIA-A10", "Tesla-T4"})


def a_run(
    step: Step, parameters: Json | None = None, environment: Json | None = None, **workflow: Any
) -> Run:
    return Run(
        execution=EXECUTION,
        execution_uid=EXECUTION_UID,
        namespace="default",
        workflow="wf",
        revision=Revision("wf-rev", a_spec(step, **workflow)),
        parameters=parameters or {},
        environment=EnvironmentSpec.model_validate(environment or {}),
        gpu_products=A100,
    )


def built(step: Step, *, attempt: int = 1, defaults: Limits | None = None, **run: Any) -> Json:
    new = NewJob(step.name, attempt, job_name(step.name, attempt))
    return pod_spec(a_run(step, **run), step, new, defaults or Limits())


def container(step: Step, **run: Any) -> Json:
    [made] = built(step, **run)["containers"]
    return dict(made)


def seen(step: Step, secrets: dict[str, str] | None = None, **run: Any) -> dict[str, str]:
    """What the program finds in its environment."""
    return environment_of(container(step, **run)["env"], secrets or {})


# --- variables -------------------------------------------------------------------------------------


def test_variables_are_parameters_then_identity_then_the_steps_own() -> None:
    step = a_step("Model Training", env=[{"name": "MODE", "value": "fast"}])

    names = [variable["name"] for variable in container(step, parameters={"b": 1, "a": 2}, attempt=3)["env"]]

    assert names == [
        "PARAM_b",
        "PARAM_a",
        "NIGHTCRAWLER_WORKFLOW",
        "NIGHTCRAWLER_EXECUTION",
        "NIGHTCRAWLER_STEP",
        "NIGHTCRAWLER_ATTEMPT",
        "MODE",
    ]


def test_a_step_gets_its_identity_as_variables() -> None:
    variables = seen(a_step("Pay $5 (daily)"), attempt=3)

    assert variables == {
        "NIGHTCRAWLER_WORKFLOW": "wf",
        "NIGHTCRAWLER_EXECUTION": EXECUTION,
        "NIGHTCRAWLER_STEP": "Pay $5 (daily)",
        "NIGHTCRAWLER_ATTEMPT": "3",
    }


VALUES: Final[dict[str, tuple[Any, str]]] = {
    "a text as it is": ("s3://data", "s3://data"),
    "a text that looks like JSON as it is": ('{"a": 1}', '{"a": 1}'),
    "a number": (10, "10"),
    "a fraction": (0.1, "0.1"),
    "a truth": (True, "true"),
    "nothing": (None, "null"),
    "an object": ({"a": [1, "x"]}, '{"a":[1,"x"]}'),
    "signs of other tongues": ("模型 ü", "模型 ü"),
    "dollars": ("$HOME $(PATH) $$ $", "$HOME $(PATH) $$ $"),
}


@pytest.mark.parametrize(("value", "text"), VALUES.values(), ids=VALUES)
def test_a_step_reads_a_parameter_as(value: Any, text: str) -> None:
    assert seen(a_step(), parameters={"x": value})["PARAM_x"] == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True), json_values, max_size=5))
def test_every_value_arrives_as_it_was_given(parameters: Json) -> None:
    variables = seen(a_step(), parameters=parameters)

    for name, value in parameters.items():
        got = variables[f"PARAM_{name}"]
        assert got == value if isinstance(value, str) else json.loads(got) == value


@given(st.text(alphabet="$()ASECRTP_x", max_size=30))
def test_no_parameter_can_read_a_secret_however_it_is_written(value: str) -> None:
    secret = {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    step = a_step(env=[secret, {"name": "COPY", "value": "$(PARAM_x)"}])

    variables = seen(step, {"k": "hunter2"}, parameters={"x": value})

    assert variables["PARAM_x"] == value
    assert variables["COPY"] == value
    assert "hunter2" not in variables["PARAM_x"]


def test_a_steps_own_variable_can_be_made_of_parameters_and_secrets() -> None:
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    step = a_step(env=[secret, {"name": "URL", "value": "https://$(TOKEN)@$(PARAM_host)/$$5"}])

    assert seen(step, {"k": "t0k"}, parameters={"host": "h.example"})["URL"] == "https://t0k@h.example/$5"


def test_command_and_arguments_are_passed_on_as_written_and_take_parameters() -> None:
    step = a_step(command=["python", "train.py", "$(PARAM_epochs)"], args=["--out=$(PARAM_out)", "$$x"])

    made = container(step, parameters={"epochs": 10, "out": "a$b"})
    known = environment_of(made["env"], {})

    assert [expand(word, known) for word in made["command"]] == ["python", "train.py", "10"]
    assert [expand(word, known) for word in made["args"]] == ["--out=a$b", "$x"]


def test_unset_fields_are_left_to_the_image() -> None:
    assert set(container(a_step())) == {"name", "image", "env", "terminationMessagePolicy"}


def test_secrets_config_maps_and_the_working_directory_are_passed_on() -> None:
    made = container(a_step(envFrom=[{"secretRef": {"name": "s"}}], workingDir="/data"))

    assert (made["envFrom"], made["workingDir"]) == ([{"secretRef": {"name": "s"}}], "/data")


# --- what it asks for ------------------------------------------------------------------------------

ASKED: Final[dict[str, tuple[Json, Json, Json]]] = {
    "nothing, if nothing is set": ({}, {}, {}),
    "CPU as a request, memory as both, GPUs as a limit": (
        {"cpu": "16 cores", "memory": "64 GB", "gpu": 8},
        {},
        {
            "requests": {"cpu": "16", "memory": "64G"},
            "limits": {"memory": "64G", "nvidia.com/gpu": "8"},
        },
    ),
    "the workflow's, where the step says nothing": (
        {},
        {"resources": {"cpu": "500m", "memory": "64Gi", "gpu": "1x NVIDIA A100"}},
        {
            "requests": {"cpu": "500m", "memory": "64Gi"},
            "limits": {"memory": "64Gi", "nvidia.com/gpu": "1"},
        },
    ),
    "field by field the step's over the workflow's": (
        {"cpu": 2},
        {"resources": {"cpu": "500m", "memory": "1Gi"}},
        {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    ),
    "nothing of what the step takes away": (
        {"gpu": "None", "memory": "None"},
        {"resources": {"cpu": 1, "memory": "1Gi", "gpu": 4}},
        {"requests": {"cpu": "1"}},
    ),
    "a limit of CPU only where somebody asks for one": (
        {"cpu": "500m", "cpuLimit": 2},
        {},
        {"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}},
    ),
    "the workflow's limit of CPU": (
        {"cpu": "500m"},
        {"resources": {"cpuLimit": "1 core"}},
        {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}},
    ),
    "no limit of CPU where the step takes it away": (
        {"cpu": "500m", "cpuLimit": "None"},
        {"resources": {"cpuLimit": "1 core"}},
        {"requests": {"cpu": "500m"}},
    ),
    "scratch space as both": (
        {"ephemeralStorage": "200 GB"},
        {},
        {"requests": {"ephemeral-storage": "200G"}, "limits": {"ephemeral-storage": "200G"}},
    ),
}


@pytest.mark.parametrize(("own", "config", "asked"), ASKED.values(), ids=ASKED)
def test_a_step_requests(own: Json, config: Json, asked: Json) -> None:
    step = a_step(resources=own) if own else a_step()

    assert container(step, config=config).get("resources", {}) == asked


def test_the_installations_defaults_fill_only_unset_fields() -> None:
    defaults = Limits(default_cpu=parse_cpu("100m"), default_memory=parse_memory("128Mi"))

    [usual] = built(a_step(), defaults=defaults)["containers"]
    [said] = built(a_step(resources={"cpu": 1, "memory": "None"}), defaults=defaults)["containers"]

    assert usual["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "128Mi"},
    }
    assert said["resources"] == {"requests": {"cpu": "1"}}


LIMITED: Final[dict[str, tuple[Json, Json]]] = {
    "what it requests, where no limit is set": ({"cpu": "500m"}, {"cpu": "500m"}),
    "nothing, where the step takes the limit away": ({"cpu": "500m", "cpuLimit": "None"}, {}),
    "its own limit": ({"cpu": "500m", "cpuLimit": 2}, {"cpu": "2"}),
    "nothing, where it asks for nothing": ({}, {}),
}


@pytest.mark.parametrize(("own", "limits"), LIMITED.values(), ids=LIMITED)
def test_an_environment_that_limits_cpu_limits_it_to(own: Json, limits: Json) -> None:
    made = container(a_step(resources=own), environment={"cpuLimit": "Request"})

    assert made.get("resources", {}).get("limits", {}) == limits


def test_a_default_request_is_lowered_to_the_limit() -> None:
    step = a_step(resources={"cpuLimit": "250m"})
    [made] = built(step, defaults=Limits(default_cpu=parse_cpu(1)))["containers"]

    assert made["resources"] == {"requests": {"cpu": "250m"}, "limits": {"cpu": "250m"}}


def test_scratch_space_is_a_volume_of_that_size() -> None:
    made = built(a_step(), config={"storage": {"ephemeralStorage": "10Gi"}})

    assert made["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}}]
    assert made["containers"][0]["volumeMounts"] == [{"name": "scratch", "mountPath": "/scratch"}]


# --- the Pod ---------------------------------------------------------------------------------------


def test_a_gpu_model_picks_the_nodes_that_have_it() -> None:
    affinity = built(a_step(resources={"gpu": "2x NVIDIA A100"}))["affinity"]

    [term] = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    [expression] = term["matchExpressions"]
    assert expression == {
        "key": "nvidia.com/gpu.product",
        "operator": "In",
        "values": ["NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-SXM4-80GB"],
    }


def test_a_slice_of_a_gpu_is_a_resource_of_its_own_on_the_nodes_of_the_model() -> None:
    spec = built(a_step(resources={"gpu": "2x A100 SXM4 MIG 1g.5gb"}))
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/mig-1g.5gb": "2"}
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [expression] = required["nodeSelectorTerms"][0]["matchExpressions"]
    assert expression["values"] == ["NVIDIA-A100-SXM4-80GB"]


def test_gpus_of_any_model_pick_no_nodes() -> None:
    assert "affinity" not in built(a_step(resources={"gpu": 2}))


TIMES: Final = {"1h30m": 5401 + 60, "500ms": 2 + 60, "1.2 seconds": 3 + 60}


@pytest.mark.parametrize(("written", "seconds"), TIMES.items())
def test_the_deadline_of_a_new_pod_includes_the_queue_timeout(written: Any, seconds: int) -> None:
    made = built(a_step(timeout=written), defaults=Limits(queue_timeout=60))

    assert made["activeDeadlineSeconds"] == seconds


def test_no_deadline_is_longer_than_the_api_server_accepts() -> None:
    made = built(a_step(timeout="365 days"), defaults=Limits(queue_timeout=1e12))

    assert made["activeDeadlineSeconds"] == 2**31 - 1


def test_a_step_without_a_timeout_has_no_deadline() -> None:
    assert "activeDeadlineSeconds" not in built(a_step())


def test_an_environment_says_which_nodes_and_which_taints() -> None:
    toleration = {"key": "gpu", "operator": "Exists"}

    made = built(a_step(), environment={"nodeSelector": {"pool": "a"}, "tolerations": [toleration]})

    assert (made["nodeSelector"], made["tolerations"]) == ({"pool": "a"}, [toleration])


def test_a_pod_is_never_restarted_and_gets_no_token() -> None:
    made = built(a_step())

    assert (made["restartPolicy"], made["automountServiceAccountToken"]) == ("Never", False)
    assert made["enableServiceLinks"] is False


def test_a_pod_that_names_a_service_account_gets_its_token() -> None:
    made = built(a_step(podTemplate={"spec": {"serviceAccountName": "trainer"}}))

    assert made["automountServiceAccountToken"] is True


AMD: Final = {"model": "AMD MI300X", "resourceName": "amd.com/gpu", "nodeSelector": {"gpu": "mi300x"}}


def test_gpus_of_another_vendor_are_its_resource_on_the_nodes_that_are_declared() -> None:
    spec = built(a_step(resources={"gpu": "2x MI300X"}), environment={"gpuModels": [AMD]})
    assert spec["containers"][0]["resources"]["limits"] == {"amd.com/gpu": "2"}
    assert spec["nodeSelector"] == {"gpu": "mi300x"}
    assert "affinity" not in spec


def test_an_environments_account_is_used_without_its_token_unless_the_step_names_one() -> None:
    environment = {"serviceAccountName": "trainer"}
    spec = built(a_step(), environment=environment)
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("trainer", False)
    own = built(a_step(podTemplate={"spec": {"serviceAccountName": "mine"}}), environment=environment)
    assert "serviceAccountName" not in own
    assert own["automountServiceAccountToken"]


@pytest.mark.parametrize(("priority", "name"), [(None, "nc-medium"), ("critical", "nc-critical")])
def test_the_priority_of_a_workflow_is_a_class_where_the_installation_has_them(
    priority: str | None, name: str
) -> None:
    workflow: Json = {"priority": priority} if priority else {}
    with_classes = Limits(priority_class_prefix="nc-")
    assert built(a_step(), defaults=with_classes, **workflow)["priorityClassName"] == name
    assert "priorityClassName" not in built(a_step(), **workflow)
