"""What GET answers of a workflow, sent back by PUT, on a real API server: each example, and any valid one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from hypothesis import given, settings

from tests.support import examples
from tests.support.facade import Json, Served
from tests.support.polling import eventually
from tests.support.resources import path_of
from tests.support.workflowspecs import Spec, specs

SHOWN_TIMES: Final = {"timeout": "7 days", "retryDelay": "30 seconds"}
"""What an answer shows where a workflow has none; it is written when it is sent back."""
MANIFESTS: Final = sorted(
    file for file in examples.FOLDER.glob("*.yaml") if examples.of_kind(file, "Workflow")
)


def with_times(spec: Spec) -> Spec:
    return {**spec, "config": {**SHOWN_TIMES, **spec.get("config", {})}}


def check_round_trip(served: Served, workflow: str) -> None:
    """Send back what GET answers, twice: the first time the times are written, the second time nothing."""
    before = served.stored("Workflow", workflow)["spec"]
    served.ask("PUT", f"/{workflow}", served.ask("GET", f"/{workflow}"))
    once = served.stored("Workflow", workflow)
    assert once["spec"] == with_times(before)
    served.ask("PUT", f"/{workflow}", served.ask("GET", f"/{workflow}"))
    twice = served.stored("Workflow", workflow)
    assert twice["metadata"]["generation"] == once["metadata"]["generation"]
    served.ask("DELETE", f"/{workflow}")


@contextlib.contextmanager
def profiles_of(served: Served, file: Path) -> Iterator[None]:
    """The compute profiles of an example."""
    made = examples.of_kind(file, "ComputeProfile")
    for one in made:
        served.cluster.api.post(path_of("ComputeProfile"), one)
    names = {one["metadata"]["name"] for one in made}

    def known() -> bool:
        there = served.http.get("/api/compute-profiles").json()["computeProfiles"]
        return names <= {one["id"] for one in there}

    eventually(known, what="the facade to know the profiles")
    try:
        yield
    finally:
        for one in made:
            served.cluster.api.delete(f"{path_of('ComputeProfile')}/{one['metadata']['name']}")


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_an_example_is_what_it_was_after_its_own_answer_was_sent_back(served: Served, file: Path) -> None:
    with profiles_of(served, file):
        for manifest in examples.of_kind(file, "Workflow"):
            check_round_trip(served, served.apply(manifest)["metadata"]["name"])


def test_the_example_body_of_the_guide_is_what_it_was_after_its_own_answer_was_sent_back(
    served: Served,
) -> None:
    body: Json = json.loads((examples.FOLDER / "rest" / "prime-search.json").read_text())
    check_round_trip(served, served.create(**body))


@given(specs())
@settings(max_examples=30)
def test_any_workflow_is_what_it_was_after_its_own_answer_was_sent_back(served: Served, spec: Spec) -> None:
    manifest = {
        "apiVersion": "nightcrawler.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": f"any-{uuid4().hex[:10]}"},
        "spec": spec,
    }
    kept = served.apply(manifest)
    assert kept["spec"] == spec
    check_round_trip(served, kept["metadata"]["name"])
