"""What a podTemplate may hold: named field by field; whatever else is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nightcrawler_crds.building.merge import MERGE_KEYS
from nightcrawler_crds.validation.podtemplate import (
    PodPolicy,
    Power,
    env_problems,
    selector_problems,
    template_problems,
)
from nightcrawler_crds.validation.podtemplate.grammar import ListOf, Object
from nightcrawler_crds.variables import variable
from tests.support.podtemplates import ENVIRONMENT, Json, places, pod_of, templates


def _allowing(*powers: Power) -> PodPolicy:
    allowed: dict[str, Any] = {power.value: True for power in powers}
    return PodPolicy(**allowed)


STRICT = PodPolicy()
NODE_TERMS = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"
LAX = _allowing(*Power)


def problems(template: Json, policy: PodPolicy = STRICT) -> list[tuple[str, str]]:
    return [*template_problems(template, policy)]


def spec(**fields: Any) -> Json:
    return {"spec": fields}


def step(**fields: Any) -> Json:
    return {"spec": {"containers": [{"name": "step", **fields}]}}


def volume(**sort: Any) -> Json:
    return {"spec": {"volumes": [{"name": "v", **sort}]}}


def beside(**fields: Any) -> Json:
    return {"spec": {"initContainers": [{"name": "a", "image": "b:1", **fields}]}}


def on_nodes(*nodes: str) -> Json:
    fields = [{"key": "metadata.name", "operator": "In", "values": [*nodes]}]
    required = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return spec(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


def in_context(**fields: Any) -> Json:
    return step(securityContext=fields)


REFUSED_ALWAYS: list[tuple[Json, str, str]] = [
    # misspelt, or nowhere
    (spec(securityContxt={}), "/spec/securityContxt", "is it 'securityContext' that was meant?"),
    (spec(SECURITYCONTEXT={}), "/spec/SECURITYCONTEXT", "is it 'securityContext' that was meant?"),
    (spec(xyzzy=1), "/spec/xyzzy", "there is no such field: leave it out"),
    ({"status": {}}, "/status", "there are: metadata, spec"),
    ({"metdata": {}}, "/metdata", "is it 'metadata' that was meant?"),
    (in_context(runAsNonRoots=True), "/spec/containers/0/securityContext/runAsNonRoots", "'runAsNonRoot'"),
    (
        step(livenessProbe={"exec": {"command": ["a"]}, "periodSecond": 1}),
        "/spec/containers/0/livenessProbe/periodSecond",
        "is it 'periodSeconds' that was meant?",
    ),
    (
        volume(secret={"secretname": "a", "secretName": "a"}),
        "/spec/volumes/0/secret/secretname",
        "'secretName'",
    ),
    # null and directives
    (spec(nodeSelector=None), "/spec/nodeSelector", "must not be null"),
    (spec(nodeSelector={"pool": None}), "/spec/nodeSelector/pool", "must not be null"),
    ({"metadata": None}, "/metadata", "must not be null"),
    (step(env=None), "/spec/containers/0/env", "podTemplate.spec.containers[0].env: must not be null"),
    ({"$patch": "replace"}, "/$patch", "is a patch directive"),
    (
        spec(**{"$setElementOrder/containers": []}),
        "/spec/$setElementOrder~1containers",
        "is a patch directive",
    ),
    (volume(emptyDir={}, **{"$retainKeys": ["name"]}), "/spec/volumes/0/$retainKeys", "is a patch directive"),
    # types
    ({"metadata": "x"}, "/metadata", "must be an object, not 'x'"),
    ({"metadata": {"labels": ["a"]}}, "/metadata/labels", "must be an object, not a list"),
    ({"metadata": {"labels": {"a": 1}}}, "/metadata/labels/a", "must be text, not 1"),
    (spec(containers={}), "/spec/containers", "must be a list, not an object"),
    (spec(containers=["x"]), "/spec/containers/0", "must be an object, not 'x'"),
    (spec(containers=[{}]), "/spec/containers/0", "needs 'name'"),
    (in_context(runAsUser="root"), "/spec/containers/0/securityContext/runAsUser", "a whole number from 0"),
    (in_context(runAsUser=True), "/spec/containers/0/securityContext/runAsUser", "a whole number from 0"),
    (in_context(runAsNonRoot="yes"), "/spec/containers/0/securityContext/runAsNonRoot", "true or false"),
    (step(ports=[{"containerPort": 70000}]), "/spec/containers/0/ports/0/containerPort", "from 1 to 65535"),
    (volume(emptyDir={"sizeLimit": "big"}), "/spec/volumes/0/emptyDir/sizeLimit", "an amount such as"),
    (spec(dnsPolicy="Mine"), "/spec/dnsPolicy", "use ClusterFirst, ClusterFirstWithHostNet, Default or None"),
    (
        spec(
            affinity={
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
            }
        ),
        NODE_TERMS,
        "must not be empty",
    ),
    (
        on_nodes("a", "b"),
        f"{NODE_TERMS}/0/matchFields/0/values",
        "must not have more than 1 of its 2 items",
    ),
    (
        beside(resources={"limits": {"memroy": "1Gi"}}),
        "/spec/initContainers/0/resources/limits/memroy",
        "no resource",
    ),
    # sorts
    (volume(), "/spec/volumes/0", "needs one of configMap, secret,"),
    (volume(emptyDir={}, secret={"secretName": "a"}), "/spec/volumes/0", "only one of emptyDir or secret"),
    (volume(iscsi={}), "/spec/volumes/0/iscsi", "use persistentVolumeClaim"),
    # twice
    (spec(volumes=[{"name": "a", "emptyDir": {}}] * 2), "/spec/volumes/1/name", "is there twice"),
    (step(env=[{"name": "A"}, {"name": "A"}]), "/spec/containers/0/env/1/name", "must differ in name"),
    (
        step(ports=[{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]),
        "/spec/containers/0/ports/1/protocol",
        "must differ in containerPort or protocol",
    ),
    # ours
    (
        {"metadata": {"labels": {"nightcrawler.dev/execution": "x"}}},
        "/metadata/labels/nightcrawler.dev~1execution",
        "is Nightcrawler's own",
    ),
    ({"metadata": {"labels": {"job-name": "x"}}}, "/metadata/labels/job-name", "is Nightcrawler's own"),
    (
        {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}},
        "/metadata/annotations/kubernetes.io~1config.mirror",
        "is the cluster's own",
    ),
    ({"metadata": {"name": "x"}}, "/metadata/name", "to choose"),
    ({"metadata": {"finalizers": []}}, "/metadata/finalizers", "to choose"),
    (spec(restartPolicy="Always"), "/spec/restartPolicy", "use retries of the step"),
    (spec(activeDeadlineSeconds=1), "/spec/activeDeadlineSeconds", "use timeout of the step"),
    (spec(resources={}), "/spec/resources", "use resources of the step"),
    (step(resources={}), "/spec/containers/0/resources", "use resources of the step"),
    (step(image="b:1"), "/spec/containers/0/image", "use image of the step"),
    (spec(containers=[{"name": "x"}]), "/spec/containers/0/name", "sidecars are initContainers"),
    (beside(name="step"), "/spec/initContainers/0/name", "cannot be named 'step'"),
    (beside(livenessProbe={}), "/spec/initContainers/0/livenessProbe", "only sidecars have it"),
    # Secrets and claims
    (
        volume(secret={"secretName": "nightcrawler-a"}),
        "/spec/volumes/0/secret/secretName",
        "Nightcrawler's own",
    ),
    (
        volume(projected={"sources": [{"secret": {"name": "nightcrawler-a"}}]}),
        "/spec/volumes/0/projected/sources/0/secret/name",
        "Nightcrawler's own",
    ),
    (
        volume(persistentVolumeClaim={"claimName": "nightcrawler-a"}),
        "/spec/volumes/0/persistentVolumeClaim/claimName",
        "Nightcrawler's own",
    ),
    (
        spec(imagePullSecrets=[{"name": "nightcrawler-a"}]),
        "/spec/imagePullSecrets/0/name",
        "Nightcrawler's own",
    ),
    (
        beside(envFrom=[{"secretRef": {"name": "nightcrawler-a"}}]),
        "/spec/initContainers/0/envFrom/0/secretRef/name",
        "Nightcrawler's own",
    ),
    (
        step(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nightcrawler-a", "key": "k"}}}]),
        "/spec/containers/0/env/0/valueFrom/secretKeyRef/name",
        "Nightcrawler's own",
    ),
]

TOKEN = {"serviceAccountToken": {"path": "token"}}
GUARDED: list[tuple[Power, Json, str]] = [
    (Power.SERVICE_ACCOUNT, spec(serviceAccountName="x"), "/spec/serviceAccountName"),
    (Power.SERVICE_ACCOUNT, spec(serviceAccount="x"), "/spec/serviceAccount"),
    (Power.SERVICE_ACCOUNT, spec(automountServiceAccountToken=True), "/spec/automountServiceAccountToken"),
    (
        Power.SERVICE_ACCOUNT,
        volume(projected={"sources": [TOKEN]}),
        "/spec/volumes/0/projected/sources/0/serviceAccountToken",
    ),
    (Power.HOST_NAMESPACES, spec(hostNetwork=True), "/spec/hostNetwork"),
    (Power.HOST_NAMESPACES, spec(hostPID=True), "/spec/hostPID"),
    (
        Power.HOST_NAMESPACES,
        step(readinessProbe={"httpGet": {"port": 80, "host": "10.0.0.1"}}),
        "/spec/containers/0/readinessProbe/httpGet/host",
    ),
    (
        Power.HOST_PORTS,
        step(ports=[{"containerPort": 1, "hostPort": 1}]),
        "/spec/containers/0/ports/0/hostPort",
    ),
    (Power.HOST_PATH, volume(hostPath={"path": "/"}), "/spec/volumes/0/hostPath"),
    (Power.HOST_USERS, spec(hostUsers=True), "/spec/hostUsers"),
    (Power.PRIVILEGED, in_context(privileged=True), "/spec/containers/0/securityContext/privileged"),
    (
        Power.PRIVILEGED,
        in_context(capabilities={"add": ["SYS_ADMIN"]}),
        "/spec/containers/0/securityContext/capabilities/add/0",
    ),
    (Power.PRIVILEGED, in_context(procMount="Unmasked"), "/spec/containers/0/securityContext/procMount"),
    (
        Power.PRIVILEGED,
        in_context(seccompProfile={"type": "Unconfined"}),
        "/spec/containers/0/securityContext/seccompProfile/type",
    ),
    (
        Power.PRIVILEGED,
        spec(securityContext={"windowsOptions": {"hostProcess": True}}),
        "/spec/securityContext/windowsOptions/hostProcess",
    ),
    (
        Power.PRIVILEGED,
        spec(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        "/spec/securityContext/sysctls/0/name",
    ),
    (Power.DIRECT_VOLUMES, volume(csi={"driver": "x"}), "/spec/volumes/0/csi"),
    (Power.DIRECT_VOLUMES, volume(nfs={"server": "x", "path": "/"}), "/spec/volumes/0/nfs"),
    (Power.NODE_NAME, spec(nodeName="x"), "/spec/nodeName"),
    (Power.SCHEDULER_NAME, spec(schedulerName="x"), "/spec/schedulerName"),
    (Power.PRIORITY_CLASS, spec(priorityClassName="x"), "/spec/priorityClassName"),
]


@pytest.mark.parametrize(("template", "where", "says"), REFUSED_ALWAYS, ids=[w for _, w, _ in REFUSED_ALWAYS])
def test_what_no_installation_allows_is_refused_with_its_path(template: Json, where: str, says: str) -> None:
    [(at, sentence)] = problems(template, LAX)
    assert at == where
    assert says in sentence
    assert sentence.startswith("podTemplate.")


@pytest.mark.parametrize(("power", "template", "where"), GUARDED, ids=[w for _, _, w in GUARDED])
def test_each_power_is_refused_unless_its_own_setting_allows_it(
    power: Power, template: Json, where: str
) -> None:
    others = _allowing(*(other for other in Power if other is not power))
    for policy in (STRICT, others):
        [(at, sentence)] = problems(template, policy)
        assert at == where
        assert f"not allowed by this installation: leave it out, or have {power.setting} set" in sentence
    assert problems(template, _allowing(power)) == []


def test_every_power_is_shown_here_and_has_a_setting_of_its_name() -> None:
    assert {power for power, _, _ in GUARDED} == set(Power)
    assert [power.value for power in Power] == [*PodPolicy.__dataclass_fields__][:-1]
    assert all(power.setting == variable(power.value) for power in Power)


HARMLESS: list[Json] = [
    {},
    {"metadata": {"labels": {"team": "ml"}, "annotations": {"kwok.nightcrawler.dev/duration": "1s"}}},
    beside(restartPolicy="Always", livenessProbe={"exec": {"command": ["true"]}}),
    beside(resources={"limits": {"memory": "64Mi", "nvidia.com/gpu": 1}}),
    in_context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, privileged=False),
    step(ports=[{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]),
    volume(projected={"sources": [{"secret": {"name": "s"}}]}),
    spec(hostNetwork=False, automountServiceAccountToken=False, shareProcessNamespace=True),
]


@pytest.mark.parametrize("template", HARMLESS, ids=range(len(HARMLESS)))
def test_harmless_fields_are_accepted(template: Json) -> None:
    assert problems(template) == []


def test_a_steps_own_variables_come_from_no_secret_of_ours_and_from_no_misspelt_source() -> None:
    values: list[Json | None] = [
        None,
        {"secretKeyRef": {"name": "nightcrawler-a", "key": "k"}},
        {"secretKeyReff": {}},
    ]
    sources = [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "nightcrawler-a"}}]
    found = dict(env_problems(values, sources, STRICT))
    assert list(found) == [
        "/env/1/valueFrom/secretKeyRef/name",
        "/env/2/valueFrom/secretKeyReff",
        "/envFrom/1/secretRef/name",
    ]
    assert found["/env/2/valueFrom/secretKeyReff"] == (
        "env[2].valueFrom.secretKeyReff: there is no such field; is it 'secretKeyRef' that was meant?"
    )


def test_a_node_selector_may_narrow_the_environments_and_not_contradict_it() -> None:
    narrower = spec(nodeSelector={"pool": "lab", "zone": "a"})
    assert [*selector_problems(narrower, "lab", {"pool": "lab"})] == []
    [(where, sentence)] = selector_problems(narrower, "office", {"pool": "office"})
    assert where == "/spec/nodeSelector/pool"
    assert "asks for nodes with 'lab', and those of the environment 'office' have 'office'" in sentence


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["metadata", "spec", "labels", "annotations", "containers", "initContainers", "volumes", "name",
         "securityContext", "capabilities", "add", "ports", "projected", "sources", "windowsOptions"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), ANY_JSON, max_size=2))
def test_no_json_makes_it_crash(template: Json) -> None:
    for where, sentence in problems(template):
        assert where.startswith("/")
        assert sentence


# --- whatever is written -------------------------------------------------------------------------

PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])


def pointer(place: tuple[str | int, ...]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


@PROPERTY
@given(templates(), st.data())
def test_a_name_that_is_not_in_the_list_is_refused_at_any_depth(template: Json, data: st.DataObject) -> None:
    objects = [(at, value, node) for at, value, node in places(template) if isinstance(node, Object)]
    at, value, node = data.draw(st.sampled_from(objects))
    unknown = st.text(min_size=1, max_size=12) | st.sampled_from(["$patch", "securityContxt", *node.refused])
    name = data.draw(unknown.filter(lambda text: text not in node.fields))
    value[name] = data.draw(st.sampled_from([{}, [], "x", 1, True, None]))
    assert pointer((*at, name)) in [where for where, _ in problems(template, LAX)]


@PROPERTY
@given(templates(), st.data())
def test_null_and_values_of_another_type_are_refused_at_any_depth(
    template: Json, data: st.DataObject
) -> None:
    inside = [place for place in places(template) if place[0]]
    assume(inside)
    at, value, _ = data.draw(st.sampled_from(inside))
    wrong = None if data.draw(st.booleans()) else ("x" if isinstance(value, dict | list) else {"x": 1})
    outer: Any = template
    for part in at[:-1]:
        outer = outer[part]
    outer[at[-1]] = wrong
    assert pointer(at) in [where for where, _ in problems(template, LAX)]


@PROPERTY
@given(templates())
def test_a_pod_that_is_built_stays_within_the_environment_and_the_policy(template: Json) -> None:
    assert problems(template) == []
    spec = pod_of(template)["spec"]
    selector = ENVIRONMENT["nodeSelector"]
    assert {**spec["nodeSelector"], **selector} == spec["nodeSelector"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert not spec.keys() & {
        "serviceAccountName",
        "serviceAccount",
        "nodeName",
        "schedulerName",
        "hostUsers",
    }
    [container] = spec["containers"]
    assert (container["name"], container["image"]) == ("step", "busybox:1")
    assert container["resources"]["limits"]["ephemeral-storage"]


@PROPERTY
@given(templates())
def test_lists_are_merged_by_the_fields_in_which_their_items_must_differ(template: Json) -> None:
    for at, _, node in places(template):
        if isinstance(node, ListOf) and at[-1] in MERGE_KEYS:
            assert node.key == MERGE_KEYS[str(at[-1])]
