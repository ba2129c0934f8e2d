"""The operator's caches: anybody can copy labels, and write anything into them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.metadata import OurAnnotations
from nightcrawler_crds.kube.nativeviews import JobView, NodeView, PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_operator.cluster.observe import attempts_of
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.pods import deletion_asked
from nightcrawler_operator.keys import EnvironmentKey, ExecutionKey, LeftoverKey, WorkKey
from tests.support.snapshots import (
    EXECUTION,
    EXECUTION_UID,
    NODE,
    a_job,
    a_pod,
    a_snapshot,
    an_environment,
    at,
    job_name,
)

V = TypeVar("V", JobView, PodView, EnvironmentView)

TRAIN = "train"
REAL, COPY = ("default", job_name(TRAIN)), ("elsewhere", job_name(TRAIN))


class Known:
    """Caches, and the keys that they have woken."""

    def __init__(self) -> None:
        self.woken: list[WorkKey] = []
        self.cluster = ClusterState(
            Store(Connection(Identity("http://localhost"), "test")), "", self.woken.append
        )

    def has(self, *objects: JobView | PodView) -> None:
        for one in objects:
            if isinstance(one, JobView):
                self.cluster.jobs.cache.upsert(one)
            else:
                self.cluster.pods.cache.upsert(one)

    @property
    def pods(self) -> list[str]:
        """The namespaces of the Pods of the first attempt."""
        attempt = attempts_of(self.cluster, EXECUTION_UID, "default")[TRAIN, 1]
        return [pod.metadata.namespace for pod in attempt.pods]


def the_job() -> JobView:
    job = a_job(TRAIN)
    owner = {"kind": "WorkflowExecution", "name": EXECUTION, "uid": EXECUTION_UID}
    return _changed(job, ownerReferences=[owner])


_OWNER = [{"kind": "Job", "name": job_name(TRAIN), "uid": f"uid-{job_name(TRAIN)}"}]


def the_pod() -> PodView:
    return _changed(a_pod(TRAIN).on_node(NODE).view, name=job_name(TRAIN), ownerReferences=_OWNER)


def copied(one: V) -> V:
    """A copy in another namespace, with all of its metadata."""
    return _changed(one, namespace="elsewhere", uid=f"{one.metadata.uid}-copy")


def _changed(one: V, **metadata: object) -> V:
    body = msgspec.to_builtins(one)
    body["metadata"].update(metadata)
    return msgspec.convert(body, type(one), strict=False)


def test_a_copy_in_another_namespace_does_not_stand_in_for_a_job_or_its_pod() -> None:
    known = Known()
    known.has(the_job(), the_pod(), copied(the_job()), copied(the_pod()))

    attempt = attempts_of(known.cluster, EXECUTION_UID, "default")[TRAIN, 1]

    assert attempt.job is not None
    assert (attempt.job.metadata.key, known.pods) == (REAL, ["default"])


def test_deleting_a_copy_removes_nothing_else() -> None:
    known = Known()
    known.has(the_job(), the_pod(), copied(the_job()), copied(the_pod()))

    known.cluster.jobs.cache.forget(COPY, f"uid-{job_name(TRAIN)}-copy", 11)
    known.cluster.pods.cache.forget(COPY, f"{the_pod().metadata.uid}-copy", 11)

    assert attempts_of(known.cluster, EXECUTION_UID, "default")[TRAIN, 1].job == the_job()
    assert known.pods == ["default"]


def test_a_pod_keeps_the_moment_at_which_its_deletion_was_first_asked_for() -> None:
    known = Known()
    marks = {"name": job_name(TRAIN), "ownerReferences": _OWNER}
    running = a_pod(TRAIN).running(since=1).deleted(3, grace=30)
    known.has(the_job(), _changed(running.view, resourceVersion="12", **marks))

    # A kubelet asks again when it is done, and the finalizer keeps the Pod.
    gone = a_pod(TRAIN).exited(0, end=5).deleted(8, grace=0)
    known.has(_changed(gone.view, resourceVersion="13", **marks))

    [pod] = attempts_of(known.cluster, EXECUTION_UID, "default")[TRAIN, 1].pods
    assert (deletion_asked(pod), pod.status.phase) == (at(3), "Succeeded")
    known.has(_changed(gone.view, resourceVersion="14", uid="another", **marks))
    [pod] = attempts_of(known.cluster, EXECUTION_UID, "default")[TRAIN, 1].pods
    assert deletion_asked(pod) == at(8)


def test_leftovers_are_distinguished_by_namespace() -> None:
    known = Known()
    known.has(the_job(), copied(the_job()))
    here, there = (LeftoverKey(where, EXECUTION, EXECUTION_UID) for where in ("default", "elsewhere"))

    assert set(known.cluster.children.leftovers()) == set(known.woken) == {here, there}
    known.cluster.jobs.cache.forget(REAL, the_job().metadata.uid, 11)

    assert set(known.cluster.children.leftovers()) == {there}
    assert not known.cluster.children.has_jobs(EXECUTION_UID, "default")


def test_a_recreated_environment_requeues_only_the_runs_in_it() -> None:
    known = Known()
    for name, environment in (("here", "gpu"), ("there", "local")):
        run = a_snapshot().with_metadata(name=name, uid=name).with_status(environment=environment)
        known.cluster.executions.upsert(run.build().execution)
    first, edited, again = (
        _changed(an_environment("gpu"), uid=uid, resourceVersion=version)
        for uid, version in (("first", "1"), ("first", "2"), ("again", "4"))
    )
    known.cluster.environments.upsert(first)
    known.woken.clear()

    known.cluster.environments.upsert(edited)
    known.cluster.environments.forget(edited.metadata.key, "first", 3)
    assert known.woken == []
    known.cluster.environments.upsert(again)

    assert known.woken == [ExecutionKey("default", "here")]


def a_node(name: str, version: int, *, ready: str = "True", **spec: Any) -> NodeView:
    meta = {
        "name": name,
        "uid": name,
        "resourceVersion": str(version),
        "labels": {"nvidia.com/gpu.product": "L4"},
    }
    status = {"allocatable": {"cpu": "8"}, "conditions": [{"type": "Ready", "status": ready}]}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, NodeView, strict=False)


def test_a_node_wakes_runs_and_environments_once_all_were_listed_and_only_if_it_matters() -> None:
    known = Known()
    known.cluster.executions.upsert(a_snapshot().build().execution)
    known.cluster.environments.upsert(an_environment("lab"))
    known.woken.clear()
    known.cluster.environment_changes.taken("lab")
    known.cluster.nodes.cache.upsert(a_node("a", 1))
    assert known.woken == []

    known.cluster.nodes.synced.set()
    known.cluster.nodes.cache.upsert(a_node("b", 2))
    assert known.woken == [ExecutionKey("default", EXECUTION), EnvironmentKey("lab")]
    # It is queued already.
    known.cluster.nodes.cache.upsert(a_node("b", 3, unschedulable=True))
    assert known.woken[2:] == [ExecutionKey("default", EXECUTION)]
    known.cluster.nodes.cache.upsert(a_node("b", 4, unschedulable=True))
    assert len(known.woken) == 3


def test_what_is_known_of_the_nodes_is_what_there_is() -> None:
    known = Known()
    for node in (a_node("a", 1), a_node("b", 2), a_node("a", 3, ready="Unknown"), a_node("c", 4)):
        known.cluster.nodes.cache.upsert(node)
    facts = known.cluster.node_facts
    assert (facts.gpu_products, facts.ready) == (frozenset({"L4"}), frozenset({"b", "c"}))
    assert {room.name: room.open for room in facts.rooms} == {"a": False, "b": True, "c": True}
    full = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}
    known.cluster.nodes.cache.upsert(a_node("c", 5, taints=[full]))
    known.cluster.nodes.cache.forget(("", "b"), "b", 6)
    assert {room.name: room.open for room in known.cluster.node_facts.rooms} == {"a": False, "c": False}
    assert known.cluster.node_facts is known.cluster.node_facts


@pytest.mark.parametrize(
    ("written", "number"), [("1", 1), ("12", 12), ("", 0), ("first", 0), ("-1", 0), ("²", 0), ("9" * 5000, 0)]
)
def test_an_attempt_label_that_is_no_number_is_ignored(written: str, number: int) -> None:
    assert OurAnnotations(attempt=written).attempt_number == number


def test_a_pod_with_an_absurd_attempt_does_not_hide_the_others() -> None:
    known = Known()
    marks = {names.ANNOTATION_STEP: TRAIN, names.ANNOTATION_ATTEMPT: "9" * 5000}
    absurd = _changed(the_pod(), name="absurd", uid="absurd", annotations=marks, ownerReferences=[])
    known.has(the_job(), the_pod(), absurd)

    assert known.pods == ["default"]
