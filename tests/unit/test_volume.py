"""The volume of a run: by whose word it is, its claim, and the Pods that share it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds import names
from nightcrawler_crds.building.job import job
from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.building.volume import Volume, volume_of
from nightcrawler_crds.building.volumeclaim import volume_claim
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Step
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import EXECUTION, EXECUTION_UID, a_spec, a_step, job_name
from tests.support.volumes import a_claim

Json = dict[str, Any]
OWNER: Final = Meta(name=EXECUTION, uid=EXECUTION_UID)
CLAIM: Final = names.volume_claim_name(EXECUTION, EXECUTION_UID)
STORAGE: Final[Json] = {"storage": {"persistentVolume": "500 GB"}}
A100: Final = "NVIDIA-A100-SXM4-80GB"


def a_run(
    *steps: Step,
    environment: Json | None = None,
    limits: Limits | None = None,
    bound: bool = False,
    node_terms: tuple[Json, ...] = (),
    **workflow: Any,
) -> Run:
    spec = a_spec(*steps, **{"config": STORAGE, **workflow})
    place = EnvironmentSpec.model_validate(environment or {})
    known = a_claim("Bound") if bound else None
    return Run(
        execution=EXECUTION,
        execution_uid=EXECUTION_UID,
        namespace="team-a",
        workflow="wf",
        revision=Revision("wf-rev", spec),
        parameters={},
        environment=place,
        gpu_products=frozenset({A100, "Tesla-T4"}),
        volume=volume_of(spec, place, limits or Limits(), OWNER, known),
        node_terms=node_terms,
    )


def pod_of(run: Run, name: str, limits: Limits | None = None) -> Json:
    made = job(run, NewJob(name, 1, job_name(name)), limits or Limits())
    spec: Json = made["spec"]["template"]["spec"]
    return spec


def terms_of(spec: Json) -> list[Json]:
    affinity = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    terms: list[Json] = affinity["nodeSelectorTerms"]
    return terms


# --- what is asked for ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "settings", "expected"),
    [
        ({}, {}, ("ReadWriteOnce", None)),
        ({}, {"storage_class": "fast", "storage_access_mode": "ReadWriteMany"}, ("ReadWriteMany", "fast")),
        (
            {"storageClassName": "nfs", "accessMode": "ReadWriteMany"},
            {"storage_class": "fast", "storage_access_mode": "ReadWriteOnce"},
            ("ReadWriteMany", "nfs"),
        ),
        ({"accessMode": "ReadWriteOncePod"}, {"storage_class": "fast"}, ("ReadWriteOncePod", "fast")),
    ],
)
def test_class_and_mode_are_the_environments_else_the_settings_else_the_clusters(
    environment: Json, settings: Json, expected: tuple[str, str | None]
) -> None:
    place = EnvironmentSpec.model_validate(environment)
    volume = volume_of(a_spec(a_step(), config=STORAGE), place, Limits(**settings), OWNER)
    assert volume is not None
    assert (volume.access_mode, volume.storage_class) == expected


@pytest.mark.parametrize(
    "storage", [{}, {"persistentVolume": "None"}, {"persistentVolume": 0}, {"retain": True}]
)
def test_without_a_size_there_is_no_volume(storage: Json) -> None:
    spec = a_spec(a_step(), config={"storage": storage})
    assert volume_of(spec, EnvironmentSpec(), Limits(), OWNER) is None


def test_the_mode_of_a_claim_stays_as_it_was_created() -> None:
    place = EnvironmentSpec.model_validate({"accessMode": "ReadWriteMany"})
    volume = volume_of(a_spec(a_step(), config=STORAGE), place, Limits(), OWNER, a_claim("Bound"))
    assert volume is not None
    assert (volume.access_mode, volume.bound, volume.on_one_node) == ("ReadWriteOnce", True, True)


def test_a_claim_belongs_to_its_run_and_has_a_name_that_no_step_may_use() -> None:
    run = a_run(a_step())
    assert run.volume is not None
    made = volume_claim(run, run.volume)
    assert made["metadata"]["name"].startswith(names.RESERVED_PREFIX)
    assert len(made["metadata"]["name"]) <= 60
    assert made["metadata"]["labels"][names.LABEL_EXECUTION_UID] == EXECUTION_UID
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"]) == (
        "WorkflowExecution",
        EXECUTION_UID,
        False,
    )
    assert made["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "500G"}}}


def test_a_claim_that_is_to_be_kept_belongs_to_nobody() -> None:
    run = a_run(a_step(), config={"storage": {"persistentVolume": "1 GB", "retain": True}})
    assert run.volume is not None
    assert "ownerReferences" not in volume_claim(run, run.volume)["metadata"]


def test_names_of_claims_differ_for_runs_whose_names_begin_alike() -> None:
    one, other = (names.volume_claim_name("training-" + "x" * 40, uid) for uid in ("u1", "u2"))
    assert one != other


# --- Pods ----------------------------------------------------------------------------------------------


def test_every_step_has_the_volume_beside_its_own() -> None:
    run = a_run(a_step("a", resources={"ephemeralStorage": "1 GB"}), a_step("b"))
    for step in ("a", "b"):
        spec = pod_of(run, step)
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        assert volumes[mounts["/workspace"]]["persistentVolumeClaim"] == {"claimName": CLAIM}
        assert ("/scratch" in mounts) == (step == "a")


def test_without_storage_nothing_of_a_pod_changes() -> None:
    run = a_run(a_step("a"), a_step("b"), config={})
    assert not {"volumes", "affinity", "securityContext", "tolerations"} & pod_of(run, "a").keys()


def test_steps_that_are_not_root_may_write_to_it_unless_a_pod_template_says_which_group() -> None:
    own = {"spec": {"securityContext": {"fsGroup": 7, "runAsUser": 1000}}}
    run = a_run(a_step("a"), a_step("b", podTemplate=own))
    assert pod_of(run, "a")["securityContext"] == {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
    assert pod_of(run, "b")["securityContext"] == {"fsGroup": 7, "runAsUser": 1000}
    assert "securityContext" not in pod_of(run, "a", Limits(storage_fs_group=0))


def test_every_pod_has_the_node_constraints_of_all_steps() -> None:
    tainted = {"key": "lab", "operator": "Exists"}
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z1"]}]}
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [zone]}}
    }
    run = a_run(
        a_step("prepare", podTemplate={"spec": {"nodeSelector": {"disk": "ssd"}, "tolerations": [tainted]}}),
        a_step("train", resources={"gpu": "1x A100"}),
        a_step("report", podTemplate={"spec": {"affinity": affinity}}),
        environment={"nodeSelector": {"pool": "lab"}},
    )
    product = {"key": "nvidia.com/gpu.product", "operator": "In", "values": [A100]}
    for name in ("prepare", "train", "report"):
        spec = pod_of(run, name)
        assert spec["nodeSelector"] == {"pool": "lab", "disk": "ssd"}
        assert tainted in spec["tolerations"]
        (term,) = terms_of(spec)
        assert sorted(term["matchExpressions"], key=str) == sorted(
            [product, *zone["matchExpressions"]], key=str
        )
        needs = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        assert (needs in spec["tolerations"]) == (name != "train"), "its own comes with the resource"


def test_alternatives_of_two_steps_are_combined() -> None:
    def one_of(*zones: str) -> Json:
        terms = [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in zones
        ]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"spec": {"affinity": {"nodeAffinity": required}}}

    run = a_run(a_step("a", podTemplate=one_of("z1", "z2")), a_step("b", podTemplate=one_of("z2", "z3")))
    assert len(terms_of(pod_of(run, "a"))) == 4
    assert all(len(term["matchExpressions"]) in (1, 2) for term in terms_of(pod_of(run, "a")))


def test_a_volume_for_several_nodes_binds_no_step() -> None:
    steps = a_step("a"), a_step("b", resources={"gpu": "1x A100"})
    spec = pod_of(a_run(*steps, environment={"accessMode": "ReadWriteMany"}), "a")
    assert not {"affinity", "nodeSelector", "tolerations"} & spec.keys()


def test_steps_that_run_at_the_same_time_go_to_one_node() -> None:
    steps = a_step("a"), a_step("b"), a_step("c", dependsOn=["a", "b"])
    spec = pod_of(a_run(*steps, order="Graph"), "c")
    (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term == {
        "labelSelector": {"matchLabels": {names.LABEL_EXECUTION_UID: EXECUTION_UID}},
        "topologyKey": "kubernetes.io/hostname",
    }
    assert "affinity" not in pod_of(a_run(a_step("a"), a_step("b")), "a"), "one after the other"


def test_the_first_pod_goes_where_all_fit() -> None:
    large = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}
    assert terms_of(pod_of(a_run(a_step("a"), a_step("b"), node_terms=(large,)), "a")) == [large]


def test_a_side_car_may_mount_the_volume_by_its_name() -> None:
    mount = {"name": "workspace", "mountPath": "/data"}
    watcher = {"name": "watch", "image": "busybox:1", "restartPolicy": "Always", "volumeMounts": [mount]}
    spec = pod_of(a_run(a_step("a", podTemplate={"spec": {"initContainers": [watcher]}})), "a")
    assert spec["initContainers"][0]["volumeMounts"] == [mount]
    assert [volume["name"] for volume in spec["volumes"]] == ["workspace"]


def test_a_volume_knows_whether_it_is_on_one_node() -> None:
    run = a_run(a_step())
    assert isinstance(run.volume, Volume)
    assert run.volume.on_one_node
