"""What views keep of what they are decoded from: no field that nothing reads, no text twice."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.kube import sharing
from nightcrawler_crds.kube.metadata import OurLabels
from nightcrawler_crds.kube.nativeviews import JobView, PodView
from nightcrawler_crds.kube.views import ExecutionView

AT = "2026-01-02T03:04:05Z"


def _decoded(kind: type[Any], body: dict[str, Any]) -> Any:
    return msgspec.json.decode(json.dumps(body).encode(), type=kind)


def _metadata(name: str, run: str, owner: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "team-a",
        "uid": f"uid-of-{name}",
        "labels": {
            names.LABEL_WORKFLOW: "train",
            names.LABEL_EXECUTION: run,
            names.LABEL_EXECUTION_UID: f"uid-of-{run}",
            "batch.kubernetes.io/job-name": name,
        },
        "annotations": {names.ANNOTATION_STEP: "Data Preparation", names.ANNOTATION_ATTEMPT: "1"},
        "ownerReferences": [owner],
    }


def _job(name: str, run: str) -> JobView:
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": "WorkflowExecution",
        "name": run,
        "uid": f"uid-of-{run}",
    }
    job: JobView = _decoded(JobView, {"metadata": _metadata(name, run, owner)})
    return job


def _pod(container: dict[str, Any], phase: str = "Running", *others: dict[str, Any]) -> PodView:
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": AT}
        for kind in ("PodScheduled", "Initialized", "PodReadyToStartContainers", "DisruptionTarget")
    ]
    pod: PodView = _decoded(
        PodView,
        {
            "metadata": _metadata("job-1", "run-1", {"kind": "Job", "name": "job-1", "uid": "uid-of-job-1"}),
            "status": {
                "phase": phase,
                "conditions": conditions,
                "containerStatuses": [{"name": "step", "state": container}, *others],
            },
        },
    )
    return pod


def test_what_objects_have_in_common_is_kept_once() -> None:
    one, other = _job("job-1", "run-1").metadata, _job("job-2", "run-2").metadata
    assert one.namespace is other.namespace
    assert one.labels.workflow is other.labels.workflow
    assert one.annotations.step is other.annotations.step
    assert one.owner_references[0].kind is other.owner_references[0].kind


def test_a_child_says_its_name_and_its_owner_once() -> None:
    meta = _job("job-1", "run-1").metadata
    (owner,) = meta.owner_references
    assert meta.labels.job_name is meta.name
    assert owner.name is meta.labels.execution
    assert owner.uid is meta.labels.execution_uid
    assert (meta.name, owner.name, owner.uid) == ("job-1", "run-1", "uid-of-run-1")


def test_what_objects_without_labels_share_stays_as_it_is() -> None:
    plain = _decoded(ExecutionView, {"metadata": {"name": "run-1", "namespace": "team-a"}})
    assert plain.metadata.labels == OurLabels()
    assert OurLabels().job_name == ""


@pytest.mark.parametrize(
    "state",
    [{"running": {"startedAt": AT}}, {"terminated": {"exitCode": 1, "finishedAt": AT}}],
    ids=["runs", "has ended"],
)
def test_of_a_started_pod_only_the_disruption_condition_is_kept(state: dict[str, Any]) -> None:
    kept = _pod(state).status.conditions
    assert [condition.type for condition in kept] == ["DisruptionTarget"]


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(_pod({"waiting": {"reason": "ImagePullBackOff"}}, "Pending"), id="it waits"),
        pytest.param(_pod({}, "Pending"), id="nothing is said of it"),
        pytest.param(
            _pod({"running": {"startedAt": AT}}, "Running", {"name": "beside", "state": {"waiting": {}}}),
            id="another container waits",
        ),
    ],
)
def test_of_a_pending_pod_all_conditions_are_kept(pod: PodView) -> None:
    assert len(pod.status.conditions) == 4


def test_shared_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_MAX_STRINGS", 10)
    monkeypatch.setattr(sharing, "_known", {})
    texts = [sharing.shared(f"word-{n}") for n in range(100)]
    assert texts == [f"word-{n}" for n in range(100)]
    assert len(sharing._known) <= 10
