"""Exported manifests, which every parser of YAML reads back, and manifests that are imported."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.refusals import at
from nightcrawler_api.workflows.drafts import desired_spec
from nightcrawler_api.workflows.manifests import in_manifest, manifest_of, read_manifest, to_yaml
from tests.support.fullobjects import workflow as full_workflow
from tests.support.views import workflow

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["y", "no", "1e3", "0o7", "~", "null", "2025-07-10", "- a", "a: b", "|", "", " ", "\t", "#", "'", '"']
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(texts, values, min_size=1, max_size=5))
def test_a_written_manifest_is_read_back(value: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


def test_a_manifest_has_the_spec_and_nothing_of_the_cluster() -> None:
    spec = full_workflow()["spec"]
    read = yaml.safe_load(to_yaml(manifest_of(workflow("w", **spec))))
    assert read == {
        "apiVersion": "nightcrawler.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": spec,
    }


def read(manifest: dict[str, Any]) -> tuple[str | None, dict[str, Any], dict[str, str]]:
    """The name in a manifest, the body, and what is wrong by pointer."""
    name, _, body, found = read_manifest(manifest)
    return name, body, {field["pointer"]: field["detail"] for field in found}


def manifest(**changes: Any) -> dict[str, Any]:
    """A manifest with other fields, or without those that are None."""
    whole = {
        "apiVersion": "nightcrawler.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {"displayName": "W", "tags": ["x"]},
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def test_what_was_exported_is_read_as_the_body_that_makes_it() -> None:
    spec = full_workflow()["spec"]
    name, body, found = read(yaml.safe_load(to_yaml(manifest_of(workflow("w", **spec)))))
    assert (name, found) == ("w", {})
    assert desired_spec({}, body) == spec


def test_what_kubectl_shows_of_a_workflow_is_read_without_what_is_the_clusters() -> None:
    metadata = {"name": "w", "namespace": "here", "uid": "1", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    name, body, found = read(manifest(metadata=metadata, status={"active": 1}))
    assert (name, body, found) == ("w", {"name": "W", "tags": ["x"]}, {})


@pytest.mark.parametrize(
    ("metadata", "spec", "name", "called"),
    [
        (None, {"displayName": "W"}, None, "W"),
        ({"name": None}, {"displayName": "W"}, None, "W"),
        ({"name": "w"}, {}, "w", "w"),
    ],
)
def test_a_name_for_people_or_for_kubernetes_is_enough(
    metadata: Any, spec: dict[str, Any], name: str | None, called: str
) -> None:
    assert read(manifest(metadata=metadata, spec=spec)) == (name, {"name": called}, {})


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"kind": "Pod"}, "/kind", "must be Workflow"),
        ({"apiVersion": None}, "/apiVersion", "must be nightcrawler.dev/v1alpha1"),
        ({"more": 1}, "/more", "no such field"),
        ({"metadata": 3}, "/metadata", "must be an object"),
        ({"metadata": {"name": "A b"}}, "/metadata/name", "DNS label of at most 40 characters"),
        ({"metadata": {"name": "a" * 41}}, "/metadata/name", "DNS label of at most 40 characters"),
        ({"metadata": {"name": 3}}, "/metadata/name", "DNS label"),
        ({"metadata": {"namespace": 3}}, "/metadata/namespace", "must be the name of a namespace"),
        ({"metadata": None, "spec": {}}, "/spec/displayName", "is required if metadata.name is not set"),
        ({"spec": None}, "/spec", "is required"),
        ({"spec": []}, "/spec", "must be an object"),
        ({"spec": {"name": "x"}}, "/spec/name", "no such field"),
        ({"spec": {"createdAt": "x"}}, "/spec/createdAt", "no such field"),
    ],
)
def test_what_kubectl_would_not_take_is_refused_where_it_stands(
    changes: dict[str, Any], pointer: str, says: str
) -> None:
    _, _, found = read(manifest(**changes))
    assert says in found[pointer]


def test_errors_in_a_body_are_shown_where_they_are_in_the_manifest() -> None:
    fields = [at("/name", "x"), at("/steps/0/image", "y"), at("", "z")]
    assert [field["pointer"] for field in in_manifest(fields)] == [
        "/spec/displayName",
        "/spec/steps/0/image",
        "/spec",
    ]


@pytest.mark.parametrize(("written", "found"), [("vision", "vision"), ("", None), (None, None)])
def test_the_namespace_in_a_manifest_is_where_it_is_to_be(written: str | None, found: str | None) -> None:
    assert read_manifest(manifest(metadata={"name": "w", "namespace": written}))[:2] == ("w", found)
