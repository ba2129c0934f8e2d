"""The chart with each Helm and each Kubernetes that it supports.

helm-unittest would render with a copy of Helm's engine and compare with lists of its own; these tests have
Helm itself render, and compare with the programs' settings and the API's own descriptions.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from localcluster import binaries
from tests.support.chart import CASES, CHART, HelmError, Manifest, helm, manifests, one

every_case = pytest.mark.parametrize(
    "case", [None, *CASES], ids=lambda case: case.stem if case else "default"
)
every_helm = pytest.mark.parametrize("major", binaries.HELM)
every_kubernetes = pytest.mark.parametrize("version", binaries.OTHER_KUBERNETES)
NOT_OF_KUBERNETES = ("nightcrawler.dev",)


@every_helm
@every_case
def test_helm_lint_finds_nothing(case: Path | None, major: int) -> None:
    values = [f"--values={case}"] if case else []
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *values, major=major)


@every_case
def test_each_helm_version_renders_the_same(case: Path | None) -> None:
    def sort(objects: list[Manifest]) -> list[Manifest]:
        return sorted(
            objects, key=lambda o: (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])
        )

    first, *others = (sort(manifests(case=case, major=major)) for major in binaries.HELM)
    assert all(other == first for other in others)


@every_helm
def test_a_cluster_that_is_too_old_is_refused(major: int) -> None:
    with pytest.raises(
        HelmError, match=r"This cluster runs Kubernetes v1\.31\.9, and .* needs 1\.32 or later"
    ):
        helm("template", "nightcrawler", str(CHART), "--kube-version=1.31.9", major=major)


@every_kubernetes
@every_case
def test_each_kubernetes_knows_every_field(case: Path | None, version: str) -> None:
    assert [problem for made in manifests(case=case) for problem in problems(version, made)] == []


@every_kubernetes
def test_a_field_that_this_kubernetes_does_not_know_is_found(version: str) -> None:
    deployment = one(manifests(), "Deployment", "nightcrawler-operator")
    pod = deployment["spec"]["template"]["spec"]
    pod["enableServiceLink"] = pod.pop("enableServiceLinks")
    deployment["spec"]["replicas"] = "2"
    found = "\n".join(problems(version, deployment))
    assert "enableServiceLink" in found
    assert '"2" is not of type "integer"' in found


def problems(version: str, manifest: Manifest) -> Iterator[str]:
    """What the API of a version of Kubernetes would not know or take of a manifest."""
    group, _, of_group = manifest["apiVersion"].rpartition("/")
    if group in NOT_OF_KUBERNETES:
        return
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    for error in validator(version, group, of_group, manifest["kind"]).iter_errors(without_nulls(manifest)):
        yield f"{name}: {'.'.join(map(str, error.instance_path))}: {error.message}"


@functools.cache
def validator(version: str, group: str, of_group: str, kind: str) -> Any:
    schemas = described(version, group, of_group)
    mark = {"group": group, "version": of_group, "kind": kind}
    (name,) = (
        name for name, schema in schemas.items() if mark in schema.get("x-kubernetes-group-version-kind", ())
    )
    whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return jsonschema_rs.Draft202012Validator(whole)


@functools.cache
def described(version: str, group: str, of_group: str) -> dict[str, Any]:
    """The schemas of a group, closed: the API server drops a field that it does not know, without a word."""
    file = f"apis__{group}__{of_group}_openapi.json" if group else f"api__{of_group}_openapi.json"
    schemas: dict[str, Any] = json.loads((binaries.openapi(version) / file).read_text())["components"][
        "schemas"
    ]
    for schema in schemas.values():
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    return schemas


def without_nulls(value: Any) -> Any:
    """The same without what is null, which the API server takes as not set."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
