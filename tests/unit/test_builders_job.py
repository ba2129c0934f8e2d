"""The Job of an attempt, and a podTemplate merged over its Pod."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest

from nightcrawler_crds import names
from nightcrawler_crds.building.job import job
from nightcrawler_crds.building.merge import merge_pod
from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.revisions import content
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Step
from nightcrawler_operator.builders.revision import manifest, revision_of
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import EXECUTION, EXECUTION_UID, a_spec, a_step, a_workflow, job_name

Json = dict[str, Any]


A100: Final = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-SXM4-80GB"]}


def built(step: Step, workflow: Json | None = None, **environment: Any) -> Json:
    run = Run(
        execution=EXECUTION,
        execution_uid=EXECUTION_UID,
        namespace="team-a",
        workflow="wf",
        revision=Revision("wf-rev", a_spec(step, **(workflow or {}))),
        parameters={"epochs": 3},
        environment=EnvironmentSpec.model_validate(environment),
        gpu_products=frozenset(A100["values"]),
    )
    return job(run, NewJob(step.name, 2, job_name(step.name, 2)), Limits())


def pod(template: Json, **environment: Any) -> Json:
    made: Json = built(a_step(podTemplate=template), **environment)["spec"]["template"]
    return made


LABELS: Final = {
    names.LABEL_WORKFLOW: "wf",
    names.LABEL_EXECUTION: EXECUTION,
    names.LABEL_EXECUTION_UID: EXECUTION_UID,
}
ANNOTATIONS: Final = {
    names.ANNOTATION_STEP: "train",
    names.ANNOTATION_ATTEMPT: "2",
    names.ANNOTATION_REVISION: "wf-rev",
}


def test_a_job_names_its_execution_and_is_owned_by_it() -> None:
    meta = built(a_step())["metadata"]

    assert (meta["name"], meta["namespace"]) == (job_name("train", 2), "team-a")
    assert (meta["labels"], meta["annotations"]) == (LABELS, ANNOTATIONS)
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "nightcrawler.dev/v1alpha1",
            "kind": "WorkflowExecution",
            "name": EXECUTION,
            "uid": EXECUTION_UID,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_a_job_makes_one_pod_and_never_a_second() -> None:
    spec = built(a_step())["spec"]

    assert spec["backoffLimit"] == 0
    assert set(spec) == {"managedBy", "backoffLimit", "template"}


def test_a_pod_has_the_labels_of_its_job() -> None:
    meta = pod({})["metadata"]

    assert (meta["labels"], meta["annotations"]) == (LABELS, ANNOTATIONS)


def test_labels_of_a_pod_template_are_kept_and_ours_win() -> None:
    forged = {names.LABEL_EXECUTION_UID: "somebody-else", "team": "vision"}

    meta = pod({"metadata": {"labels": forged, "annotations": {names.ANNOTATION_ATTEMPT: "9", "a": "b"}}})[
        "metadata"
    ]

    assert meta["labels"] == LABELS | {"team": "vision"}
    assert meta["annotations"] == ANNOTATIONS | {"a": "b"}


def test_null_in_a_pod_template_of_an_earlier_release_removes_nothing() -> None:
    made = pod({"metadata": {"labels": None}, "spec": {"nodeSelector": None}}, nodeSelector={"pool": "a"})

    assert made["metadata"]["labels"] == LABELS
    assert made["spec"]["nodeSelector"] == {"pool": "a"}


def test_the_environments_node_selector_comes_last_and_may_be_narrowed() -> None:
    asked = {"pool": "other", "zone": "b"}

    made = pod({"spec": {"nodeSelector": asked}}, nodeSelector={"pool": "a"})

    assert made["spec"]["nodeSelector"] == {"pool": "a", "zone": "b"}


# --- merging ---------------------------------------------------------------------------------------


def test_the_steps_container_is_merged_by_its_name() -> None:
    over = {"name": "step", "securityContext": {"runAsUser": 1000}, "imagePullPolicy": "Always"}

    [container] = pod({"spec": {"containers": [over]}})["spec"]["containers"]

    assert (container["image"], container["imagePullPolicy"]) == ("busybox:1", "Always")
    assert container["securityContext"] == {"runAsUser": 1000}
    assert container["env"][0]["name"] == "PARAM_epochs"


def test_a_variable_of_the_template_replaces_that_of_its_name_and_new_ones_come_last() -> None:
    over = {"name": "step", "env": [{"name": "PARAM_epochs", "value": "1"}, {"name": "NEW", "value": "2"}]}

    [container] = pod({"spec": {"containers": [over]}})["spec"]["containers"]

    values = {v["name"]: v.get("value") for v in container["env"]}
    assert values["PARAM_epochs"] == "1"
    assert container["env"][-1] == {"name": "NEW", "value": "2"}


MERGED: Final[dict[str, tuple[Json, Json, Json]]] = {
    "an object field by field": ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
    "null removes nothing": ({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"c": None}}, {"a": 1, "b": {"c": 2}}),
    "null of what is not there": ({}, {"a": None}, {}),
    "volumes by name": (
        {"volumes": [{"name": "s", "emptyDir": {"sizeLimit": "1G"}}]},
        {"volumes": [{"name": "d", "emptyDir": {}}, {"name": "s", "emptyDir": {"medium": "Memory"}}]},
        {
            "volumes": [
                {"name": "s", "emptyDir": {"sizeLimit": "1G", "medium": "Memory"}},
                {"name": "d", "emptyDir": {}},
            ]
        },
    ),
    "a volume of another sort comes in its place": (
        {"volumes": [{"name": "s", "emptyDir": {"sizeLimit": "1G"}}]},
        {"volumes": [{"name": "s", "persistentVolumeClaim": {"claimName": "data"}}]},
        {"volumes": [{"name": "s", "persistentVolumeClaim": {"claimName": "data"}}]},
    ),
    "a variable from elsewhere comes in its place": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
    ),
    "ports by number and protocol": (
        {"ports": [{"containerPort": 53}]},
        {"ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "name": "dns"}]},
        {"ports": [{"containerPort": 53, "name": "dns"}, {"containerPort": 53, "protocol": "UDP"}]},
    ),
    "sources of variables are added": (
        {"envFrom": [{"configMapRef": {"name": "a"}}]},
        {"envFrom": [{"secretRef": {"name": "b"}}]},
        {"envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]},
    ),
    "mounts by path": (
        {"volumeMounts": [{"name": "s", "mountPath": "/scratch"}]},
        {"volumeMounts": [{"name": "t", "mountPath": "/scratch"}, {"name": "d", "mountPath": "/data"}]},
        {"volumeMounts": [{"name": "t", "mountPath": "/scratch"}, {"name": "d", "mountPath": "/data"}]},
    ),
    "tolerations are added": (
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "a"}, {"key": "b"}]},
        {"tolerations": [{"key": "a"}, {"key": "b"}]},
    ),
    "other lists are replaced": ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
    "a list where there was none": (
        {},
        {"initContainers": [{"name": "i"}]},
        {"initContainers": [{"name": "i"}]},
    ),
    "another kind of value replaces": ({"a": {"x": 1}}, {"a": "text"}, {"a": "text"}),
}


@pytest.mark.parametrize(("base", "over", "merged"), MERGED.values(), ids=MERGED)
def test_merging(base: Json, over: Json, merged: Json) -> None:
    before = copy.deepcopy((base, over))

    result = merge_pod({"spec": base}, {"spec": over})

    assert result == {"spec": merged}
    assert (base, over) == before


def test_what_is_merged_shares_nothing_with_the_template() -> None:
    template = {"spec": {"volumes": [{"name": "d", "emptyDir": {}}]}}

    merged = merge_pod({"spec": {}}, template)
    merged["spec"]["volumes"][0]["emptyDir"]["medium"] = "Memory"

    assert template == {"spec": {"volumes": [{"name": "d", "emptyDir": {}}]}}


def test_an_environments_tolerations_stay_beside_the_templates() -> None:
    ours, theirs = {"key": "pool", "operator": "Exists"}, {"key": "spot", "operator": "Exists"}

    made = pod({"spec": {"tolerations": [theirs]}}, tolerations=[ours])

    assert made["spec"]["tolerations"] == [ours, theirs]


# --- revisions -------------------------------------------------------------------------------------

WORKFLOW: Final[Json] = {
    "displayName": "Training",
    "description": "daily",
    "priority": "high",
    "steps": [{"name": "a", "image": "b:1"}],
    "config": {"retries": 1},
    "environments": ["lab"],
}


def test_a_revision_holds_what_a_run_depends_on_and_nothing_else() -> None:
    assert set(content(WORKFLOW)) == {"steps", "config", "environments", "priority"}


def test_a_new_description_makes_no_new_revision_and_a_new_image_does() -> None:
    before = revision_of(a_workflow(WORKFLOW)).name

    assert revision_of(a_workflow(WORKFLOW | {"description": "hourly"}, generation=2)).name == before
    changed = WORKFLOW | {"steps": [{"name": "a", "image": "b:2"}]}
    assert revision_of(a_workflow(changed)).name != before


def test_the_order_in_which_fields_are_written_makes_no_new_revision() -> None:
    turned = dict(reversed(WORKFLOW.items())) | {"steps": [{"image": "b:1", "name": "a"}]}

    assert revision_of(a_workflow(turned)).name == revision_of(a_workflow(WORKFLOW)).name


def test_a_revision_belongs_to_its_workflow_and_keeps_the_words_as_written() -> None:
    workflow = a_workflow(WORKFLOW, generation=4)

    made = manifest(workflow, revision_of(workflow))

    assert (made["apiVersion"], made["kind"], made["revision"]) == ("apps/v1", "ControllerRevision", 4)
    assert made["data"] == content(WORKFLOW)
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == ["wf-uid"]


HERE: Final = {"key": "zone", "operator": "In", "values": ["a"]}
THERE: Final = {"key": "zone", "operator": "In", "values": ["b"]}
TERMS: Final[dict[str, tuple[Any, Any]]] = {
    "each of several": (
        [{"matchExpressions": [HERE]}, {"matchExpressions": [THERE]}],
        [{"matchExpressions": [HERE, A100]}, {"matchExpressions": [THERE, A100]}],
    ),
    "one by fields": ([{"matchFields": [HERE]}], [{"matchFields": [HERE], "matchExpressions": [A100]}]),
    "one without expressions": ([{"matchExpressions": None}], [{"matchExpressions": [A100]}]),
    "none": ([], [{"matchExpressions": [A100]}]),
    # The API server says what is wrong with these.
    "one that is no object": (["x"], ["x"]),
    "one whose expressions are no list": ([{"matchExpressions": "x"}], [{"matchExpressions": "x"}]),
}


@pytest.mark.parametrize(("written", "merged"), TERMS.values(), ids=TERMS)
def test_a_node_affinity_of_the_template_stands_beside_that_for_the_gpu_model(
    written: Any, merged: Any
) -> None:
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": written}}
    }
    step = a_step(resources={"gpu": "1x NVIDIA A100"}, podTemplate={"spec": {"affinity": affinity}})

    spec = built(step)["spec"]["template"]["spec"]

    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {"nodeSelectorTerms": merged}


def test_an_environments_pod_template_is_merged_before_the_steps_own() -> None:
    for_all = {
        "metadata": {"annotations": {"team": "all", "zone": "a"}},
        "spec": {"dnsPolicy": "Default", "nodeSelector": {"pool": "other", "disk": "ssd"}},
    }
    own = {"metadata": {"annotations": {"team": "mine"}}, "spec": {"nodeSelector": {"gpu": "none"}}}
    gpu_model = {"model": "H100", "nodeSelector": {"gpu": "h100"}}
    step = a_step(podTemplate=own, resources={"gpu": "H100"})
    made = built(step, nodeSelector={"pool": "lab"}, podTemplate=for_all, gpuModels=[gpu_model])
    template = made["spec"]["template"]
    assert template["metadata"]["annotations"].items() >= {"team": "mine", "zone": "a"}.items()
    assert template["spec"]["dnsPolicy"] == "Default"
    # Neither leaves the nodes of the Environment, nor those of the GPUs that it declares.
    assert template["spec"]["nodeSelector"] == {"pool": "lab", "disk": "ssd", "gpu": "h100"}


@pytest.mark.parametrize(
    ("secure", "policy"), [(True, "File"), (False, "FallbackToLogsOnError"), (None, "FallbackToLogsOnError")]
)
def test_with_secure_secrets_no_line_of_a_log_gets_into_the_status(secure: bool | None, policy: str) -> None:
    workflow = {"config": {"security": {} if secure is None else {"secureSecrets": secure}}}
    for_all = {
        "spec": {"containers": [{"name": "step", "terminationMessagePolicy": "FallbackToLogsOnError"}]}
    }
    fetch = {"name": "fetch", "image": "busybox:1", "terminationMessagePolicy": "FallbackToLogsOnError"}
    step = a_step(podTemplate={"spec": {"initContainers": [fetch]}})
    spec = built(step, workflow, podTemplate=for_all)["spec"]["template"]["spec"]
    containers = [*spec["initContainers"], *spec["containers"]]
    assert [one["terminationMessagePolicy"] for one in containers] == [policy] * 2
