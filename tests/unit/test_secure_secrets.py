"""What `secureSecrets` refuses: secrets that are written out, and log lines in the status."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation import (
    PodPolicy,
    Problem,
    parameter_problems,
    profile_problems,
    workflow_problems,
    workflow_warnings,
)
from nightcrawler_crds.validation.secrets import looks_secret
from tests.support.snapshots import a_profile, a_spec, a_step

SECURE: Final[dict[str, Any]] = {"config": {"security": {"secureSecrets": True}}}


def problems(*steps: Any, **fields: Any) -> list[Problem]:
    return workflow_problems(a_spec(*(steps or (a_step(),)), **{**SECURE, **fields}), PodPolicy())


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "dbPassword",
        "PGPASSWORD",
        "PASSWORD_2",
        "password_prod",
        "DB_PASS",
        "MYSQL_PWD",
        "client-secret",
        "CLIENT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "openaiAPIKey",
        "apikey",
        "SSH_PRIVATE_KEY",
        "STORAGE_ACCOUNT_KEY",
        "HF_TOKEN",
        "accessToken",
        "TOKEN",
        "AZURE_CREDENTIALS",
        "passphrase",
    ],
)
def test_this_name_looks_like_a_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PWD",
        "PASS",
        "EPOCHS",
        "MAX_TOKENS",
        "TOKENIZERS_PARALLELISM",
        "TOKENIZER",
        "token_classification_model",
        "PASSWORD_FILE",
        "SECRET_NAME",
        "TOKEN_URL",
        "PASSWORD_MIN_LENGTH",
        "AWS_ACCESS_KEY_ID",
        "PRIMARY_KEY",
        "PARTITION_KEY",
        "PUBLIC_KEY",
        "KEY",
        "KEYBOARD",
        "MONKEY",
        "COMPASS",
        "1234",
        "",
    ],
)
def test_this_name_does_not(name: str) -> None:
    assert not looks_secret(name)


def test_a_secret_that_is_written_out_is_refused_with_the_way_to_do_it_right() -> None:
    (found,) = problems(a_step("load", env=[{"name": "HOME", "value": "/"}, {"name": "TOKEN", "value": "x"}]))
    assert (found.pointer, found.reason) == ("/steps/0/env/1/value", conditions.LITERAL_SECRET)
    assert found.message == (
        "step 'load': the variable 'TOKEN' looks like a secret, and its value is written out, which "
        "config.security.secureSecrets does not allow: put it into a Secret, and use valueFrom: "
        "{secretKeyRef: {name: SECRET, key: KEY}}"
    )


@pytest.mark.parametrize(
    "variable",
    [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "TOKEN"},
        {"name": "TOKEN", "value": " "},
        {"name": "TOKEN", "value": "None"},
        {"name": "VAULT_TOKEN", "value": "$(TOKEN)"},
        {"name": "AUTH_TOKEN", "value": "Bearer $(TOKEN)"},
        {"name": "USE_PASSWORD", "value": "true"},
    ],
)
def test_what_is_not_written_out_is_accepted(variable: dict[str, Any]) -> None:
    assert problems(a_step(env=[variable])) == []


def test_dollars_that_stand_for_themselves_are_no_reference() -> None:
    (found,) = problems(a_step(env=[{"name": "TOKEN", "value": "$$(x)"}]))
    assert found.reason == conditions.LITERAL_SECRET


def test_the_containers_of_a_pod_template_are_checked_as_well() -> None:
    variable = {"name": "API_KEY", "value": "x"}
    template = {
        "spec": {
            "initContainers": [{"name": "fetch", "image": "busybox:1", "env": [variable]}],
            "containers": [{"name": "step", "env": [variable]}],
        }
    }
    found = problems(a_step(podTemplate=template))
    assert [one.pointer for one in found] == [
        "/steps/0/podTemplate/spec/initContainers/0/env/0/value",
        "/steps/0/podTemplate/spec/containers/0/env/0/value",
    ]


def test_a_pod_template_must_not_put_log_lines_into_the_status() -> None:
    container = {"name": "step", "terminationMessagePolicy": "FallbackToLogsOnError"}
    (found,) = problems(a_step(podTemplate={"spec": {"containers": [container]}}))
    assert found.reason == conditions.INVALID_POD_TEMPLATE
    assert found.pointer == "/steps/0/podTemplate/spec/containers/0/terminationMessagePolicy"
    assert "would put lines of the log into the status" in found.message


@pytest.mark.parametrize(
    "template", [{"spec": 3}, {"spec": {"containers": {}}}, {"spec": {"containers": [3]}}]
)
def test_of_a_malformed_pod_template_its_form_is_reported(template: dict[str, Any]) -> None:
    assert {one.reason for one in problems(a_step(podTemplate=template))} == {conditions.INVALID_POD_TEMPLATE}


def test_a_default_of_a_parameter_is_refused_with_the_field_in_it() -> None:
    found = problems(
        parameters=[
            {"name": "epochs", "default": 3},
            {"name": "password", "default": "x"},
            {"name": "db", "default": {"host": "h", "users": [{"name": "a", "password": "x"}]}},
            {"name": "token"},
        ]
    )
    assert [(one.pointer, one.reason) for one in found] == [
        ("/parameters/1/default", conditions.LITERAL_SECRET),
        ("/parameters/2/default", conditions.LITERAL_SECRET),
    ]
    assert found[0].message.startswith("the parameter 'password' has a default, and looks like a secret")
    assert found[1].message.startswith("the parameter 'db' has a default with 'password' in it, and looks")
    assert "whoever can see the run can read its parameters" in found[0].message


def test_a_run_may_not_set_a_secret_either() -> None:
    given = {"apiToken": "x", "epochs": 3, "flags": {"token": True}, "keys": ["private"], "secret": None}
    (found,) = parameter_problems(a_spec(a_step(), **SECURE), given)
    assert (found.pointer, found.reason) == ("/parameters/apiToken", conditions.LITERAL_SECRET)
    assert parameter_problems(a_spec(a_step()), given) == []


def test_a_profile_with_a_secret_in_it_cannot_be_used() -> None:
    profile = a_profile("gpu", env=[{"name": "API_KEY", "value": "x"}])
    plain = a_spec(a_step(), config={"computeProfile": "gpu"})
    secure = a_spec(a_step(), config={"computeProfile": "gpu", "security": {"secureSecrets": True}})
    (found,) = profile_problems(secure, [profile])
    assert (found.pointer, found.reason) == ("/config/computeProfile", conditions.LITERAL_SECRET)
    assert profile_problems(plain, [profile]) == []


@pytest.mark.parametrize("security", [None, {}, {"secureSecrets": False}])
def test_without_the_option_anything_goes(security: Any) -> None:
    spec = a_spec(
        a_step(env=[{"name": "TOKEN", "value": "x"}]),
        config={} if security is None else {"security": security},
        parameters=[{"name": "password", "default": "x"}],
    )
    assert workflow_problems(spec, PodPolicy()) == []


@pytest.mark.parametrize(
    ("security", "fields"),
    [
        ({}, []),
        ({"visibility": "Public", "permissions": []}, []),
        ({"secureSecrets": True, "auditLogging": True}, []),
        ({"visibility": "Team"}, ["visibility is Team"]),
        ({"permissions": [{"role": "Viewer", "access": "View Only"}]}, ["permissions is set"]),
        (
            {"visibility": "Private", "permissions": [{"role": "Admin", "access": "Full Access"}]},
            ["visibility is Private", "permissions is set"],
        ),
    ],
)
def test_what_nothing_enforces_is_taken_with_a_warning(security: dict[str, Any], fields: list[str]) -> None:
    spec = WorkflowSpec.model_validate({"config": {"security": security}})
    warnings = workflow_warnings(spec)
    assert [f"config.security.{field}" in said for field, said in zip(fields, warnings, strict=True)] == [
        True
    ] * len(fields)
    assert all("nothing enforces it" in said for said in warnings)
