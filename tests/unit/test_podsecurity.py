"""What is filled into Pods so that they pass a Pod Security level, and what of a podTemplate is refused."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest
from hypothesis import given

from nightcrawler_crds.building.podsecurity import filled
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import workflow_problems
from nightcrawler_crds.validation.podtemplate import Level, PodPolicy, template_problems
from tests.support.podtemplates import pod_of, templates

Json = dict[str, Any]

RESTRICTED: Final = PodPolicy(level="restricted")
OF_POD: Final[Json] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
OF_CONTAINER: Final[Json] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def a_pod(context: Json | None = None, *containers: Json, **fields: Any) -> Json:
    spec: Json = {"containers": list(containers) or [{"name": "step", "image": "i"}], **fields}
    return spec if context is None else {**spec, "securityContext": context}


@pytest.mark.parametrize("level", ["privileged", "baseline"])
def test_without_the_restricted_level_nothing_is_filled_in(level: Level) -> None:
    assert filled(a_pod(), level) == a_pod()


def test_the_step_init_containers_and_side_cars_are_filled() -> None:
    side_car = {"name": "proxy", "image": "i", "restartPolicy": "Always"}
    made = filled(a_pod(initContainers=[{"name": "fetch", "image": "i"}, side_car]), "restricted")
    assert made["securityContext"] == OF_POD
    for container in (*made["containers"], *made["initContainers"]):
        assert container["securityContext"] == OF_CONTAINER


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, OF_POD),
        ({"runAsUser": 1000, "fsGroup": 7}, {**OF_POD, "runAsUser": 1000, "fsGroup": 7}),
        ({"runAsNonRoot": True}, OF_POD),
        (
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}},
            {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}},
        ),
    ],
    ids=str,
)
def test_what_a_pod_sets_stays(given: Json, made: Json) -> None:
    assert filled(a_pod(given), "restricted")["securityContext"] == made


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, OF_CONTAINER),
        ({"runAsUser": 1000}, {**OF_CONTAINER, "runAsUser": 1000}),
        ({"readOnlyRootFilesystem": True}, {**OF_CONTAINER, "readOnlyRootFilesystem": True}),
        (
            {"seccompProfile": {"type": "Localhost"}},
            {**OF_CONTAINER, "seccompProfile": {"type": "Localhost"}},
        ),
        (
            {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
            {**OF_CONTAINER, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        ),
        (
            {"capabilities": {"drop": ["ALL", "KILL"]}},
            {**OF_CONTAINER, "capabilities": {"drop": ["ALL", "KILL"]}},
        ),
    ],
    ids=str,
)
def test_what_a_container_sets_stays(given: Json, made: Json) -> None:
    [container] = filled(a_pod(None, {"name": "step", "securityContext": given}), "restricted")["containers"]
    assert container["securityContext"] == made


@given(templates())
def test_filling_changes_nothing_that_is_there_and_twice_is_once(template: Json) -> None:
    spec = pod_of(template)["spec"]
    before = copy.deepcopy(spec)
    made = filled(spec, "restricted")
    assert spec == before
    assert filled(made, "restricted") == made
    assert _holds(made, spec)


def _holds(made: Any, given: Any) -> bool:
    """Whether all that is in `given` is in `made`, too."""
    if isinstance(given, dict):
        return all(key in made and _holds(made[key], value) for key, value in given.items())
    if isinstance(given, list):
        return len(made) == len(given) and all(map(_holds, made, given))
    return bool(made == given)


def in_step(**context: Any) -> Json:
    return {"spec": {"containers": [{"name": "step", "securityContext": context}]}}


BEYOND: Final = [
    ({"spec": {"securityContext": {"runAsNonRoot": False}}}, "/spec/securityContext/runAsNonRoot"),
    ({"spec": {"securityContext": {"runAsUser": 0}}}, "/spec/securityContext/runAsUser"),
    (in_step(runAsUser=0), "/spec/containers/0/securityContext/runAsUser"),
    (in_step(runAsNonRoot=False), "/spec/containers/0/securityContext/runAsNonRoot"),
    (in_step(allowPrivilegeEscalation=True), "/spec/containers/0/securityContext/allowPrivilegeEscalation"),
    (in_step(capabilities={"add": ["CHOWN"]}), "/spec/containers/0/securityContext/capabilities/add/0"),
    (in_step(capabilities={"drop": ["CHOWN"]}), "/spec/containers/0/securityContext/capabilities/drop"),
    (
        {"spec": {"initContainers": [{"name": "i", "image": "i", "securityContext": {"runAsUser": 0}}]}},
        "/spec/initContainers/0/securityContext/runAsUser",
    ),
]


@pytest.mark.parametrize(("template", "where"), BEYOND, ids=[where for _, where in BEYOND])
def test_what_goes_beyond_the_restricted_level_is_refused_with_what_to_do(template: Json, where: str) -> None:
    [(at, sentence)] = template_problems(template, RESTRICTED)
    assert at == where
    assert "that the Pod Security level of this installation, restricted, does not allow: use " in sentence
    assert "or have NIGHTCRAWLER_STEPS_POD_SECURITY set to baseline" in sentence
    for level in ("privileged", "baseline"):
        assert not [*template_problems(template, PodPolicy(level=level))]


def test_a_volume_of_nfs_is_beyond_the_restricted_level_though_it_is_allowed() -> None:
    template = {"spec": {"volumes": [{"name": "data", "nfs": {"server": "s", "path": "/p"}}]}}
    [(at, sentence)] = template_problems(template, PodPolicy(allow_direct_volumes=True, level="restricted"))
    assert at == "/spec/volumes/0/nfs"
    assert "use a persistentVolumeClaim" in sentence


@pytest.mark.parametrize(
    "template",
    [
        {"spec": None},
        {"spec": []},
        {"spec": {"securityContext": "root"}},
        {"spec": {"containers": {"name": "step"}, "volumes": [None, "nfs"]}},
        {"spec": {"containers": [None, {"name": "step", "securityContext": []}]}},
        in_step(capabilities="ALL"),
        in_step(capabilities={"add": "ALL", "drop": None}),
        in_step(capabilities={"add": [1, None, []]}),
        in_step(runAsUser=False),
    ],
    ids=str,
)
def test_what_is_no_podtemplate_is_refused_for_that_alone(template: Json) -> None:
    assert [*template_problems(template, RESTRICTED)] == [*template_problems(template, PodPolicy())] != []


def test_a_workflow_that_has_to_be_root_is_refused_with_its_step_and_field() -> None:
    steps = [{"name": "Install", "image": "i", "podTemplate": in_step(runAsUser=0)}]
    [problem] = workflow_problems(WorkflowSpec.model_validate({"steps": steps}), RESTRICTED)
    assert problem.pointer == "/steps/0/podTemplate/spec/containers/0/securityContext/runAsUser"
    assert problem.reason == "InvalidPodTemplate"
    assert problem.message == (
        "step 'Install': podTemplate.spec.containers[0].securityContext.runAsUser: 0 is root, a user "
        "that the Pod Security level of this installation, restricted, does not allow: use the number of "
        "another one; "
        "or have NIGHTCRAWLER_STEPS_POD_SECURITY set to baseline, and the namespace's label"
    )
