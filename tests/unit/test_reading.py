"""Objects that the views cannot decode: what is read all the same, and how the rest is reported."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.errors import Unavailable, Unreadable
from nightcrawler_crds.kube.nativeviews import JobView, PodView
from nightcrawler_crds.kube.reading import Unreadables, from_body, from_json, stand_in
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, WorkflowView
from nightcrawler_operator.cluster import watch_events
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.pods import is_live
from nightcrawler_operator.keys import ExecutionKey, LeftoverKey, WorkKey
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore

META = {"name": "run", "namespace": "ns", "uid": "u", "resourceVersion": "7"}


def an_execution(version: int = 7, **status: Any) -> dict[str, Any]:
    return {
        "kind": "WorkflowExecution",
        "metadata": {**META, "resourceVersion": str(version)},
        "spec": {"workflowRef": {"name": "wf"}},
        "status": status,
    }


def decoded(body: Any, kind: Any) -> Any:
    return from_json(json.dumps(body).encode(), kind, msgspec.json.Decoder(kind, strict=False))


@pytest.mark.parametrize("read", [decoded, from_body])
def test_a_field_of_another_type_is_named_with_its_object(read: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        read(an_execution(steps={"a": {"phase": "Running", "attempt": "many"}}), ExecutionView)
    error = caught.value
    assert (error.key, error.uid, error.version) == (("ns", "run"), "u", 7)
    assert error.message.startswith(
        "WorkflowExecution run in namespace ns cannot be read: status.steps[...].attempt: Expected `int`"
    )
    assert error.message.endswith("correct that field, or delete the object")


@pytest.mark.parametrize("body", [5, [], None, {}, {"metadata": 5}, {"metadata": {"name": 1}}])
def test_an_object_without_metadata_is_unreadable_without_a_name(body: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        decoded(body, ExecutionView)
    assert caught.value.key is None


def test_invalid_json_is_not_from_the_api_server() -> None:
    with pytest.raises(Unavailable, match="sends no JSON"):
        from_json(b"<html>", JobView, msgspec.json.Decoder(JobView))


@pytest.mark.parametrize("read", [decoded, from_body])
@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [
        (WorkflowView, {"order": "Graph"}, {"active": "some"}),
        (EnvironmentView, {"speed": 2}, {"nodes": "some"}),
    ],
)
def test_the_status_of_a_workflow_or_an_environment_may_be_anything(
    read: Any, kind: Any, spec: Any, status: Any
) -> None:
    body = {"metadata": META, "spec": spec, "status": status}
    view = read(body, kind)
    assert (view.spec, view.status) == (spec, kind(metadata=view.metadata).status)
    with pytest.raises(Unreadable):
        read({**body, "spec": 5}, kind)


def test_the_stand_in_for_an_unreadable_job_or_pod_has_not_ended() -> None:
    data = json.dumps({"metadata": META, "spec": 5, "status": 5}).encode()
    pod, job = stand_in(data, PodView), stand_in(data, JobView)
    assert pod is not None
    assert is_live(pod)
    assert job is not None
    assert job.status.end is None
    assert stand_in(b'{"metadata": {"labels": 5}}', JobView) is None


def unreadable(version: int, uid: str = "u", why: str = "why") -> Unreadable:
    return Unreadable(why, key=("ns", "run"), uid=uid, version=version)


def test_an_unreadable_object_is_logged_once_and_listed_until_it_is_read_or_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listed = Unreadables(names.EXECUTIONS)
    listed.note(unreadable(7))
    listed.note(unreadable(8))
    assert len(caplog.records) == 1
    listed.note(unreadable(9, why="another field"))
    assert len(caplog.records) == 2
    listed.clear(("ns", "run"), "u", 8)
    assert ("ns", "run") in listed, "what is older says nothing of what it is now"
    listed.clear(("ns", "run"), "u", 9)
    assert len(listed) == 0
    listed.note(unreadable(10))
    listed.clear(("ns", "run"), "another", 1)
    assert len(listed) == 0


# --- what the operator makes of them ---------------------------------------------------------------


def a_cluster_state() -> tuple[ClusterState, list[WorkKey]]:
    woken: list[WorkKey] = []
    return ClusterState(ModelStore(ModelServer()), "", woken.append), woken


BAD = an_execution(8, progress={})


def test_an_unreadable_execution_stays_as_it_was_and_is_listed_until_it_can_be_read() -> None:
    cluster, woken = a_cluster_state()
    listed = cluster.unreadable[names.EXECUTIONS]
    watch_events.apply_event(cluster, names.EXECUTIONS, "ADDED", an_execution(7, phase="Running"))
    watch_events.apply_event(cluster, names.EXECUTIONS, "MODIFIED", BAD)
    assert ("ns", "run") in listed
    assert cluster.executions.get(("ns", "run")) is not None
    woken.clear()
    watch_events.apply_event(cluster, names.EXECUTIONS, "MODIFIED", an_execution(9, phase="Running"))
    assert len(listed) == 0
    assert ExecutionKey("ns", "run") in woken


def test_a_late_event_of_an_unreadable_version_says_nothing_of_what_was_read_since() -> None:
    cluster, _ = a_cluster_state()
    listed = cluster.unreadable[names.EXECUTIONS]
    watch_events.apply_event(cluster, names.EXECUTIONS, "ADDED", an_execution(7, phase="Running"))
    # The answer to a conflict; the watch reports what came before it only now.
    cluster.executions.upsert(from_body(an_execution(9, phase="Running"), ExecutionView))
    watch_events.apply_event(cluster, names.EXECUTIONS, "MODIFIED", BAD)
    assert len(listed) == 0
    watch_events.apply_event(cluster, names.EXECUTIONS, "MODIFIED", an_execution(10, progress={}))
    assert ("ns", "run") in listed


def test_an_unreadable_execution_that_is_deleted_or_ended_is_removed() -> None:
    cluster, _ = a_cluster_state()
    watch_events.apply_event(cluster, names.EXECUTIONS, "ADDED", an_execution(7, phase="Running"))
    watch_events.apply_event(cluster, names.EXECUTIONS, "MODIFIED", BAD)
    watch_events.apply_event(cluster, names.EXECUTIONS, "DELETED", BAD)
    assert cluster.executions.get(("ns", "run")) is None
    assert len(cluster.unreadable[names.EXECUTIONS]) == 0


def test_a_list_with_an_unreadable_execution_does_not_make_it_a_leftover() -> None:
    cluster, woken = a_cluster_state()
    watch_events.apply_event(cluster, names.EXECUTIONS, "ADDED", an_execution(7, phase="Running"))
    watch_events.apply_list(cluster, names.EXECUTIONS, [], [unreadable(8)], 20)
    assert cluster.executions.get(("ns", "run")) is not None
    assert ("ns", "run") in cluster.unreadable[names.EXECUTIONS]
    assert not any(isinstance(key, LeftoverKey) for key in woken)
    watch_events.apply_list(cluster, names.EXECUTIONS, [], [], 21)
    assert cluster.executions.get(("ns", "run")) is None
