"""Exported manifests: whatever is stored, every parser of YAML reads it back."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.workflows.manifests import manifest_of, to_yaml
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
