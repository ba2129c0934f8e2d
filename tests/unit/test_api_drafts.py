"""From bodies to specs: merging, environments, templates, and every kind of refusal."""

from __future__ import annotations

from typing import Any

import pytest

from nightcrawler_api.executions.requests import request_errors
from nightcrawler_api.executions.schemas import ExecuteRequest
from nightcrawler_api.workflows.drafts import (
    desired_spec,
    known_fields,
    validate,
    with_template,
)
from nightcrawler_api.workflows.schemas import WorkflowCreate, WorkflowUpdate
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import PodPolicy
from tests.support.fullobjects import workflow as full_workflow
from tests.support.snapshots import a_profile
from tests.support.views import environment

Json = dict[str, Any]

DOCUMENT: Json = {
    "name": "New ML Training Pipeline",
    "description": "Handles distributed training across multiple GPU nodes",
    "priority": "medium",
    "environmentStrategy": "time",
    "traceLevel": "med",
    "environments": {"awsVirginia": True, "dgxCloudCalifornia": False},
    "options": {"enableNotifications": False, "enableLogging": True, "enableRetry": False},
}
STEP: Json = {"name": "a", "image": "busybox:1"}
ENVIRONMENTS = [environment("local", default=True, aliases=["awsVirginia"]), environment("gpu")]


def refused(body: Json, current: Json | None = None, policy: PodPolicy | None = None) -> dict[str, str]:
    """By pointer, what is wrong with a body."""
    spec = desired_spec(current or {}, body)
    found = validate(body, current, spec, ENVIRONMENTS, policy or PodPolicy())
    return {field["pointer"]: field["detail"] for field in found}


# --- what becomes of a body ----------------------------------------------------------------------


def test_the_documented_body_becomes_a_spec() -> None:
    assert desired_spec({}, DOCUMENT) == {
        "displayName": "New ML Training Pipeline",
        "description": "Handles distributed training across multiple GPU nodes",
        "priority": "medium",
        "environmentStrategy": "time",
        "traceLevel": "med",
        "environments": ["awsVirginia"],
        "options": {"enableNotifications": False, "enableLogging": True, "enableRetry": False},
    }
    assert refused(DOCUMENT) == {}


@pytest.mark.parametrize(
    ("current", "written", "expected"),
    [
        ([], {"a": True, "b": False, "c": True}, ["a", "c"]),
        (["b", "d"], {"a": True, "b": False, "c": None}, ["d", "a"]),
        (["a"], {"a": True}, ["a"]),
        (["a"], {}, ["a"]),
        (["a"], ["b", "c", "b"], ["b", "c"]),
        (["a"], [], []),
        (["a"], {"a": False}, []),
        ([], {"a": None}, []),
        (None, {"a": False, "b": False}, []),
        (None, {"a": None, "b": False}, []),
        (None, [], []),
    ],
)
def test_environments_as_an_object_are_merged_and_as_a_list_replaced(
    current: list[str] | None, written: object, expected: list[str]
) -> None:
    spec = {} if current is None else {"environments": current}
    assert desired_spec(spec, {"environments": written})["environments"] == expected


@pytest.mark.parametrize("written", [{}, {"a": None}, None])
def test_omitted_environments_stay_unset(written: object) -> None:
    assert desired_spec({}, {"environments": written}) == {}


def test_null_removes_and_objects_merge() -> None:
    current = {"displayName": "x", "description": "y", "tags": ["a"], "config": {"timeout": 5, "retries": 1}}
    body = {
        "description": None,
        "tags": ["b"],
        "config": {"retries": None, "resources": {"cpu": 1, "gpu": None}},
    }
    assert desired_spec(current, body) == {
        "displayName": "x",
        "tags": ["b"],
        "config": {"timeout": 5, "resources": {"cpu": 1}},
    }


def test_response_only_fields_are_ignored_so_that_a_response_can_be_sent_back() -> None:
    answer = {
        "id": "wf-1",
        "status": "active",
        "creator": "x",
        "createdAt": "x",
        "updatedAt": "x",
        "lastRun": "x",
        "version": "x",
        "conditions": [],
        "name": "n",
        "steps": [{**STEP, "status": "pending", "duration": "00:00"}],
    }
    assert desired_spec({}, answer) == {"displayName": "n", "steps": [STEP]}
    assert refused(answer) == {}


def test_nulls_in_lists_are_dropped_unless_they_mean_something() -> None:
    template = {"spec": {"securityContext": None}}
    step = {**STEP, "timeout": None, "resources": {"gpu": None, "cpu": 1}, "podTemplate": template}
    body = {"name": "n", "steps": [step], "parameters": [{"name": "p", "default": None, "description": None}]}
    assert desired_spec({}, body) == {
        "displayName": "n",
        "steps": [{**STEP, "resources": {"cpu": 1}, "podTemplate": template}],
        "parameters": [{"name": "p", "default": None}],
    }


def test_a_template_gives_steps_config_and_what_they_need_only() -> None:
    template = {
        "displayName": "Template",
        "description": "of others",
        "steps": [STEP],
        "order": "Graph",
        "parameters": [{"name": "p"}],
        "config": {"timeout": "1h", "resources": {"cpu": 1, "gpu": 2}},
        "tags": ["template"],
    }
    spec = {"displayName": "x", "steps": [], "config": {"resources": {"gpu": 1}}}
    assert with_template(spec, template) == {
        "displayName": "x",
        "steps": [STEP],
        "order": "Graph",
        "parameters": [{"name": "p"}],
        "config": {"timeout": "1h", "resources": {"cpu": 1, "gpu": 1}},
    }


@pytest.mark.parametrize("takes_any", [True, False])
def test_any_environment_is_accepted_where_the_default_one_accepts_any_name(takes_any: bool) -> None:
    body = {"name": "n", "steps": [STEP], "environments": ["mars"]}
    there = [environment("local", default=True, acceptAnyName=takes_any), environment("gpu")]
    found = validate(body, None, desired_spec({}, body), there, PodPolicy())
    assert [field["pointer"] for field in found] == ([] if takes_any else ["/environments/0"])


@pytest.mark.parametrize("takes_any", [True, False])
@pytest.mark.parametrize(("asked", "listed"), [("mars", None), (None, ["mars"])])
def test_a_run_may_name_any_environment_where_the_default_one_accepts_any_name(
    takes_any: bool, asked: str | None, listed: list[str] | None
) -> None:
    spec = WorkflowSpec.model_validate({"steps": [STEP], "environments": listed})
    there = [environment("local", default=True, acceptAnyName=takes_any), environment("gpu")]
    found = request_errors(ExecuteRequest(environment=asked), spec, there)
    assert [field["pointer"] for field in found] == ([] if takes_any else ["/environment"])


def test_every_field_of_a_manifest_can_be_set_over_rest() -> None:
    spec = full_workflow()["spec"]
    body = {("name" if key == "displayName" else key): value for key, value in spec.items()}
    assert desired_spec({}, body) == spec
    assert validate(body, None, spec, [], PodPolicy(), [a_profile("gpu", displayName="GPU-Optimized")]) == []


def test_the_documented_bodies_have_every_field_of_the_spec() -> None:
    spec = {("name" if name == "display_name" else name) for name in WorkflowSpec.model_fields}
    # Where to create it is no part of it.
    assert set(WorkflowCreate.model_fields) - {"namespace"} == set(WorkflowUpdate.model_fields) == spec


# --- refusals ------------------------------------------------------------------------------------

OBJECT, LIST = {"x": 1}, [1]
REFUSALS: list[tuple[Json, str, str]] = [
    ({}, "/name", "is required"),
    ({"name": None}, "/name", "a workflow must have a name"),
    ({"name": ""}, "/name", "must not be empty"),
    ({"name": "  \u3000"}, "/name", "more than spaces"),
    ({"name": 5}, "/name", "must be text, not 5"),
    ({"name": OBJECT}, "/name", "must be text, not an object"),
    ({"name": "x" * 257}, "/name", "at most 256 characters; it has 257"),
    ({"name": "a\x00b"}, "/name", "control character, U+0000, at position 2"),
    ({"name": "a\nb"}, "/name", "control character, U+000A"),
    ({"name": "a\x9bb"}, "/name", "control character, U+009B"),
    ({"displayName": "x"}, "/displayName", "is it 'name' that was meant?"),
    ({"description": "x" * 4097}, "/description", "at most 4096 characters"),
    ({"description": "a\x1bb"}, "/description", "control character, U+001B"),
    ({"priority": "urgent"}, "/priority", "must be low, medium, high or critical, not 'urgent'"),
    ({"priority": LIST}, "/priority", "must be low, medium, high or critical, not a list"),
    ({"environmentStrategy": "fast"}, "/environmentStrategy", "must be start, time or cost"),
    ({"traceLevel": "max"}, "/traceLevel", "must be min, med or debug"),
    ({"order": "sequence"}, "/order", "must be Sequence or Graph"),
    ({"environments": {"nowhere": True}}, "/environments/nowhere", "there are: awsVirginia, gpu, local"),
    ({"environments": {"a/b~c": True}}, "/environments/a~1b~0c", "there is no environment 'a/b~c'"),
    ({"environments": ["local", "nowhere"]}, "/environments/1", "there is no environment 'nowhere'"),
    ({"environments": {"local": "yes"}}, "/environments/local", "must be true or false, not 'yes'"),
    ({"environments": {"local": 1}}, "/environments/local", "must be true or false, not 1"),
    ({"environments": "local"}, "/environments", "must be a list of names, or an object of names"),
    ({"environments": [5]}, "/environments/0", "must be text, not 5"),
    ({"options": {"enableRetry": "yes"}}, "/options/enableRetry", "must be true or false, not 'yes'"),
    ({"options": {"enableRetries": True}}, "/options/enableRetries", "is it 'enableRetry' that was meant?"),
    ({"options": 5}, "/options", "must be an object, not 5"),
    ({"tags": "x"}, "/tags", "must be a list, not 'x'"),
    ({"tags": [""]}, "/tags/0", "must not be empty"),
    ({"tags": ["a\x07"]}, "/tags/0", "control character, U+0007"),
    ({"tags": ["x"] * 65}, "/tags", "at most 64 entries; it has 65"),
    ({"suspend": "no"}, "/suspend", "must be true or false"),
    ({"history": {"completed": -1}}, "/history/completed", "must be at least 0, not -1"),
    ({"steps": [{"name": "a"}]}, "/steps/0/image", "is required"),
    ({"steps": [{**STEP, "name": " a"}]}, "/steps/0/name", "no space at either end"),
    ({"steps": [STEP, STEP]}, "/steps/1/name", "two steps are named 'a'"),
    ({"steps": {"a": STEP}}, "/steps", "must be a list, not an object"),
    ({"steps": ["a"]}, "/steps/0", "must be an object, not 'a'"),
    ({"steps": [{**STEP, "comand": ["x"]}]}, "/steps/0/comand", "is it 'command' that was meant?"),
    ({"steps": [{**STEP, "dependsOn": ["b"]}]}, "/steps/0/dependsOn/0", "there is no such step"),
    ({"steps": [{**STEP, "dependsOn": ["a"]}]}, "/steps/0/dependsOn", "a → a"),
    (
        {"steps": [{**STEP, "podTemplate": {"spec": {"containers": [{"name": "step", "evn": []}]}}}]},
        "/steps/0/podTemplate/spec/containers/0/evn",
        "step 'a': podTemplate.spec.containers[0].evn: there is no such field; is it 'env' that was meant?",
    ),
    (
        {"steps": [{**STEP, "envFrom": [{"secretRef": {"name": "nightcrawler-mail"}}]}]},
        "/steps/0/envFrom/0/secretRef/name",
        "Nightcrawler's own",
    ),
    (
        {"steps": [{**STEP, "podTemplate": {"spec": {"hostNetwork": True}}}]},
        "/steps/0/podTemplate/spec/hostNetwork",
        "not allowed",
    ),
    ({"parameters": [{"name": "1x"}]}, "/parameters/0/name", "does not begin with a digit"),
    ({"config": {"timeout": "soon"}}, "/config/timeout", 'Accepted: "2 hours"'),
    ({"config": {"timeout": 0}}, "/config/timeout", "it is no time at all; leave it out for the default"),
    ({"config": {"timeout": "0 hours"}}, "/config/timeout", "it is no time at all"),
    ({"steps": [{**STEP, "timeout": "0s"}]}, "/steps/0/timeout", "it is no time at all"),
    (
        {"config": {"schedule": {"type": "interval", "interval": 0}}},
        "/config/schedule/interval",
        "it is no time at all",
    ),
    (
        {"steps": [{**STEP, "resources": {"cpu": 2, "cpuLimit": 1}}]},
        "/steps/0/resources/cpuLimit",
        "requests more CPU (2) than its cpuLimit of 1; raise the limit or lower the request",
    ),
    (
        {"config": {"resources": {"cpuLimit": "500m"}}, "steps": [{**STEP, "resources": {"cpu": 1}}]},
        "/config/resources/cpuLimit",
        "step 'a' requests more CPU (1) than its cpuLimit",
    ),
    (
        {"config": {"resources": {"cpuLimit": "lots"}}},
        "/config/resources/cpuLimit",
        "Accepted: cores such as",
    ),
    ({"config": {"timeout": LIST}}, "/config/timeout", "must be a number or text, not a list"),
    ({"config": {"retries": "3"}}, "/config/retries", "must be a whole number, not '3'"),
    ({"config": {"retries": 3.5}}, "/config/retries", "must be a whole number, not 3.5"),
    ({"config": {"retries": 101}}, "/config/retries", "must be at most 100, not 101"),
    ({"config": {"resources": {"cpu": "many"}}}, "/config/resources/cpu", "Accepted: cores such as"),
    ({"config": {"resources": {"cpu": True}}}, "/config/resources/cpu", "must be a number or text, not true"),
    ({"config": {"resources": {"memory": "64 XB"}}}, "/config/resources/memory", "Accepted: an amount"),
    ({"config": {"resources": {"gpu": 1.5}}}, "/config/resources/gpu", "GPUs are given whole"),
    (
        {"config": {"security": {"visibility": "Secret"}}},
        "/config/security/visibility",
        "must be Private, Team or Public",
    ),
    ({"config": {"schedule": {"cron": "0 0 * * 1"}}}, "/config/schedule/type", "is required"),
    ({"config": 0}, "/config", "must be an object, not 0"),
    ({"steps": 0}, "/steps", "must be a list, not 0"),
    ({"unheard": 1}, "/unheard", "there is no such field"),
    ({"steps": [{**STEP, "args": ["x" * 131072] * 3}]}, "", "at most 262144 are allowed"),
]


@pytest.mark.parametrize(("body", "pointer", "says"), REFUSALS, ids=lambda value: str(value)[:40])
def test_problems_are_reported_at_their_field(body: Json, pointer: str, says: str) -> None:
    body = body if {"name", "displayName"} & body.keys() or not body else {"name": "n", **body}
    found = refused(body)
    assert pointer in found, found
    assert says in found[pointer]
    assert len(found) == 1, found


def test_a_workflow_from_a_manifest_needs_no_name_to_be_changed() -> None:
    assert refused({"description": "x"}, {}) == {}
    assert refused({"description": "x"}, {"steps": [STEP]}) == {}
    assert set(refused({"name": None}, {"steps": [STEP]})) == {"/name"}


@pytest.mark.parametrize(("name", "says"), [("", "must not be empty"), ("x" * 254, "at most 253 characters")])
def test_an_environment_in_an_object_is_refused_with_its_key(name: str, says: str) -> None:
    body = {"name": "n", "environments": {"gpu": True, "off": False, name: True}}
    [found] = validate(body, None, desired_spec({}, body), [], PodPolicy())
    assert found["pointer"] == f"/environments/{name}"
    assert says in found["detail"]


def test_all_problems_are_reported_at_once() -> None:
    found = refused(
        {"priority": "x", "options": 5, "environments": {"nowhere": True}, "steps": [{"image": 1}]}
    )
    assert set(found) == {
        "/name",
        "/priority",
        "/options",
        "/environments/nowhere",
        "/steps/0/name",
        "/steps/0/image",
    }


def test_any_environment_is_accepted_while_none_exist() -> None:
    body = {"name": "n", "environments": {"nowhere": True}}
    assert validate(body, None, desired_spec({}, body), [], PodPolicy()) == []


def test_unchanged_environments_are_not_checked_again() -> None:
    current = {"displayName": "n", "environments": ["torn-down"]}
    assert refused({"environments": ["torn-down", "gpu"]}, current) == {}
    assert refused({"description": "x"}, current) == {}
    assert set(refused({"environments": ["torn-down", "nowhere"]}, current)) == {"/environments/1"}


@pytest.mark.parametrize(
    "name",
    ["Überprüfung", "训练管线", "🚀 launch 👩‍🚀", "مرحبا", "a\u0301e\u0308", "x" * 256, "𝔘" * 256, "a b"],
)
def test_names_in_every_script_are_accepted(name: str) -> None:
    assert refused({"name": name, "description": name + "\n\tsecond line"}) == {}


def test_what_an_installation_allows_in_pods_is_allowed() -> None:
    step = {**STEP, "podTemplate": {"spec": {"hostNetwork": True}}}
    assert refused({"name": "n", "steps": [step]}, policy=PodPolicy(allow_host_namespaces=True)) == {}


def test_known_fields_have_their_rest_names() -> None:
    assert "name" in known_fields()
    assert "displayName" not in known_fields()
    assert {"retryDelay", "persistentVolume", "skipOnFailure", "dependsOn"} <= set(known_fields())
