"""The allow-list of podTemplate held against the real API server: its document, its baseline level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings

from localcluster import LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds.validation.podtemplate import PodPolicy, template_problems
from nightcrawler_crds.validation.podtemplate.fields import POD_TEMPLATE
from nightcrawler_crds.validation.podtemplate.grammar import (
    Choice,
    Flag,
    Guarded,
    ListOf,
    MapOf,
    Node,
    Number,
    Object,
    PortOrName,
    Quantity,
    Text,
    Variant,
)
from tests.support.podtemplates import RUNTIME_CLASS, Json, each_field, pod_of, templates
from tests.support.polling import eventually

_CORE: Final = "/openapi/v3/api/v1"
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_PORT: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


# --- its document --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schemas(cluster: LocalCluster) -> Json:
    """The schemas of Kubernetes' own objects, as this API server publishes them."""
    found: Json = cluster.api.get(_CORE)["components"]["schemas"]
    return found


def test_every_field_of_a_pod_is_allowed_or_refused_with_a_reason_and_is_of_that_type(schemas: Json) -> None:
    root = {"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}
    assert list(deviations(POD_TEMPLATE, root, schemas, "")) == []


def deviations(node: Node, schema: Json, schemas: Json, path: str) -> Iterator[str]:
    """Where the list and the API server's document do not say the same."""
    resolved, name = resolve(schema, schemas)
    match node:
        case Guarded():
            yield from deviations(node.value, schema, schemas, path)
        case Variant():
            for sort in (*node.sorts.values(), node.others):
                yield from deviations(sort, schema, schemas, path)
        case Object():
            yield from deviations_of_object(node, resolved.get("properties", {}), schemas, path)
        case ListOf() if resolved.get("type") == "array":
            yield from deviations(node.items, resolved["items"], schemas, f"{path}[]")
        case MapOf() if "additionalProperties" in resolved:
            yield from deviations(node.values, resolved["additionalProperties"], schemas, f"{path}.*")
        case _:
            wanted = TYPES[type(node)]
            if wanted not in (name, resolved.get("type")):
                yield f"{path}: is {name or resolved.get('type')}, not {wanted}"


def deviations_of_object(node: Object, known: Json, schemas: Json, path: str) -> Iterator[str]:
    listed = node.fields.keys() | node.refused.keys()
    for field in listed ^ known.keys():
        yield f"{path}.{field}: is not " + ("there" if field in listed else "listed")
    for field, why in node.refused.items():
        if field in node.fields or not why:
            yield f"{path}.{field}: is allowed too, or has no reason"
    for field in node.fields.keys() & known.keys():
        yield from deviations(node.fields[field], known[field], schemas, f"{path}.{field}")


TYPES: Final[dict[type, str]] = {
    Choice: "string",
    Flag: "boolean",
    ListOf: "array",
    MapOf: "object with free keys",
    Number: "integer",
    PortOrName: _PORT,
    Quantity: _QUANTITY,
    Text: "string",
}


def resolve(schema: Json, schemas: Json) -> tuple[Json, str]:
    """A schema without references, and its name if it has one."""
    while True:
        inner = schema["allOf"][0] if "allOf" in schema else schema
        if "$ref" not in inner:
            return inner, ""
        name = inner["$ref"].rpartition("/")[2]
        if name in (_QUANTITY, _PORT):
            return {}, name
        schema = schemas[name]
        if "allOf" not in schema and "$ref" not in schema:
            return schema, name


# --- its baseline level --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def careful(cluster: LocalCluster) -> Iterator[str]:
    """The path of the Pods of a namespace that takes those of the baseline level only."""
    name = "baseline"
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    runtime = "/apis/node.k8s.io/v1/runtimeclasses"
    cluster.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    eventually(lambda: cluster.api.exists(account), what="the namespace's service account")
    cluster.api.post(runtime, {"metadata": {"name": RUNTIME_CLASS}, "handler": "runc"})
    yield f"/api/v1/namespaces/{name}/pods"
    cluster.api.delete(f"{runtime}/{RUNTIME_CLASS}")
    cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def restricted(cluster: LocalCluster, careful: str) -> Iterator[str]:
    """The path of the Pods of a namespace that takes those of the restricted level only."""
    name = "restricted"
    labels = {"pod-security.kubernetes.io/enforce": name}
    cluster.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    eventually(lambda: cluster.api.exists(account), what="the namespace's service account")
    yield careful.replace("baseline", name)
    cluster.api.delete(f"/api/v1/namespaces/{name}")


def refusal(cluster: LocalCluster, pods: str, pod: Json) -> str:
    """What the API server says against a Pod, misspelt fields included; empty if it takes it."""
    try:
        cluster.api.post(f"{pods}?dryRun=All&fieldValidation=Strict", pod)
    except RefusedError as error:
        return str(error)
    return ""


def test_every_field_and_value_that_is_allowed_makes_a_pod_of_the_baseline_level(
    cluster: LocalCluster, careful: str
) -> None:
    refused = [
        f"{path}: {said}"
        for path, template in each_field()
        if (said := refusal(cluster, careful, pod_of(template)))
    ]
    assert not refused, "\n".join(refused)


@settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])
@given(templates())
def test_whatever_passes_makes_a_pod_of_the_baseline_level(
    cluster: LocalCluster, careful: str, template: Json
) -> None:
    assert [*template_problems(template, PodPolicy())] == []
    assert refusal(cluster, careful, pod_of(template)) == ""


# --- its restricted level ------------------------------------------------------------------------


def restricted_pod(template: Json) -> Json:
    made = pod_of(template, "restricted")
    return {**made, "metadata": {**made["metadata"], "namespace": "restricted"}}


def test_a_pod_without_security_fields_passes_only_with_those_filled_in(
    cluster: LocalCluster, restricted: str
) -> None:
    assert refusal(cluster, restricted, restricted_pod({})) == ""
    assert "violates PodSecurity" in refusal(cluster, restricted, pod_of({}))


def test_each_field_and_value_is_refused_by_us_or_makes_a_pod_of_the_restricted_level(
    cluster: LocalCluster, restricted: str
) -> None:
    differ = []
    for path, template in each_field():
        ours = [sentence for _, sentence in template_problems(template, PodPolicy(level="restricted"))]
        theirs = refusal(cluster, restricted, restricted_pod(template))
        if bool(ours) != bool(theirs):
            differ.append(f"{path}: {ours} {theirs}")
    assert not differ, "\n".join(differ)


@settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])
@given(templates())
def test_whatever_is_not_refused_makes_a_pod_of_the_restricted_level(
    cluster: LocalCluster, restricted: str, template: Json
) -> None:
    ours = [sentence for _, sentence in template_problems(template, PodPolicy(level="restricted"))]
    theirs = refusal(cluster, restricted, restricted_pod(template))
    assert bool(ours) == bool(theirs), (ours, theirs)
