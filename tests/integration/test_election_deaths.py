"""Leaders that are dead, and such as only seem so, on the real API server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from localcluster import LocalCluster
from localcluster.credentials import OPERATOR
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire, to_wire_micro, utcnow
from nightcrawler_crds.election.death import Container, Holder, Process, termination_line
from nightcrawler_crds.election.elector import Elector, LeaseTerms
from nightcrawler_crds.election.holder import Witness, own_holder, own_process
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.store import Store
from tests.support.builders import a_chain
from tests.support.exactlyonce import assert_ran_once
from tests.support.history import History
from tests.support.operator import LONG_LEASE, Operators, grant_rights
from tests.support.polling import always, eventually
from tests.support.team import Team

Json = dict[str, Any]
LEASE: Final = "nightcrawler-operator"
TERMS: Final = LeaseTerms(namespace="", name=LEASE, lease_duration=120, renew_deadline=100, retry_period=0.5)
LEADER: Final = "operator-1_0123456789ab"
FAR_AWAY: Final = Process(host="operator-1", boot="b", pid_namespace=1, time_namespace=1, pid=1, start_time=9)


# --- processes of this host ------------------------------------------------------------------------


def test_a_killed_operator_that_restarts_does_not_wait_for_its_lease(operators: Operators) -> None:
    operator = operators.start(**LONG_LEASE)

    operator.kill()
    operator.start()

    assert "is dead: its process" in operator.log


def test_a_standby_replaces_a_killed_leader_within_seconds(operators: Operators) -> None:
    leader = operators.start(**LONG_LEASE)
    standby = operators.make(**LONG_LEASE)
    standby.start(leading=False)
    killed = leader.leader

    leader.kill()

    eventually(lambda: standby.leader not in ("", killed), within=15, what="the standby to lead")


def test_a_standby_leaves_a_suspended_leader_alone(operators: Operators) -> None:
    leader = operators.start(**LONG_LEASE)
    standby = operators.make(**LONG_LEASE)
    standby.start(leading=False)
    suspended = leader.leader

    leader.pause()

    always(lambda: standby.leader == suspended, during=6, what="the leader")


@pytest.mark.usefixtures("nodes")
def test_an_operator_that_is_killed_again_and_again_goes_on_working(operators: Operators, team: Team) -> None:
    history = History(team)
    operator = operators.start(**LONG_LEASE)
    runs = team.runs(a_chain("c", 4, lasts=1).with_spec(history={"completed": 10}), 5)
    lives = 0

    def over() -> bool:
        return all(team.status(run).get("phase") == "Completed" for run in runs)

    def over_or_later_than(moment: float) -> bool:
        return over() or time.monotonic() > moment

    while not over():
        assert lives < 20, [team.status(run).get("phase") for run in runs]
        eventually(partial(over_or_later_than, time.monotonic() + 1), what="a second of work")
        operator.kill()
        operator.start()
        lives += 1

    assert lives >= 2
    for run in runs:
        assert_ran_once(history, run, "s1/1", "s2/1", "s3/1", "s4/1")


# --- Leases of leaders that are played -------------------------------------------------------------


class Candidate:
    """An elector that finds somebody else's Lease."""

    def __init__(self, connection: Connection, namespace: str, own: Holder) -> None:
        store = Store(connection)
        terms = LeaseTerms(
            namespace=namespace,
            name=LEASE,
            lease_duration=TERMS.lease_duration,
            renew_deadline=TERMS.renew_deadline,
            retry_period=TERMS.retry_period,
        )
        self.elector = Elector(
            store, terms, Witness(store, own), on_started=lambda: None, on_stopped=lambda: None
        )

    async def leads(self, within: float) -> bool:
        """Whether it gets to lead in that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self.elector.is_leader:  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.05)
        return self.elector.is_leader


@asynccontextmanager
async def a_candidate(kubeconfig: Path, namespace: str, own: Holder) -> AsyncIterator[Candidate]:
    connection = await Connection.open("test-of-election", kubeconfig=str(kubeconfig))
    candidate = Candidate(connection, namespace, own)
    task = asyncio.create_task(candidate.elector.run())
    try:
        yield candidate
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await connection.close()


@pytest.fixture
def kubeconfig(cluster: LocalCluster, namespace: str) -> Path:
    """That of the operator's user, who may do in the namespace what the operator may."""
    grant_rights(cluster, namespace)
    return cluster.kubeconfig_of(OPERATOR)


def hold_lease(cluster: LocalCluster, namespace: str, holder: Holder) -> None:
    """Write a holder into the Lease."""
    now = to_wire_micro(utcnow())
    annotations = {names.ANNOTATION_HOLDER: msgspec.json.encode(holder).decode()}
    cluster.api.post(
        f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "annotations": annotations},
            "spec": {
                "holderIdentity": holder.identity,
                "leaseDurationSeconds": 120,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        },
    )


@pytest.mark.parametrize(("earlier", "dead"), [(1, True), (0, False)], ids=["reused", "its own"])
async def test_a_pid_in_use_is_the_leaders_only_with_the_same_start_time(
    earlier: int, dead: bool, cluster: LocalCluster, namespace: str, kubeconfig: Path
) -> None:
    process = own_process()
    assert process is not None
    assert process.pid == os.getpid()
    before = msgspec.structs.replace(process, start_time=process.start_time - earlier)
    hold_lease(cluster, namespace, Holder(LEADER, before))

    async with a_candidate(kubeconfig, namespace, own_holder()) as candidate:
        assert await candidate.leads(within=20 if dead else 4) == dead


class PlayedPod:
    """The Pod of a leader, with any status."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self._cluster = cluster
        self._path = f"/api/v1/namespaces/{namespace}/pods/operator-1"
        made = cluster.api.post(
            self._path.rpartition("/")[0],
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "operator-1", "finalizers": ["nightcrawler.dev/test"]},
                "spec": {"containers": [{"name": "operator", "image": "operator:1"}]},
            },
        )
        container = Container(
            namespace=namespace, pod="operator-1", pod_uid=made["metadata"]["uid"], name="operator"
        )
        self.leader = Holder(LEADER, FAR_AWAY, container)

    def says(self, state: Json, *, key: str = "state", phase: str = "Running", **status: Any) -> None:
        """Write its status."""
        one = {"name": "operator", "image": "operator:1", "imageID": "", "ready": False, "restartCount": 1}
        one["state"] = {"running": {"startedAt": to_wire(utcnow())}}
        body = {"phase": phase, "containerStatuses": [one | {key: state}], **status}
        self._cluster.api.merge(f"{self._path}/status", {"status": body})

    def delete(self, *, finalizer: bool) -> None:
        """Delete it by force; with its finalizer it is still to be seen, as being deleted."""
        if not finalizer:
            self._cluster.api.merge(self._path, {"metadata": {"finalizers": None}})
        self._cluster.api.delete(f"{self._path}?gracePeriodSeconds=0")

    def release(self) -> None:
        """Take its finalizer off, if it is still there."""
        if self._cluster.api.exists(self._path):
            self._cluster.api.merge(self._path, {"metadata": {"finalizers": None}})


@pytest.fixture
def played(cluster: LocalCluster, namespace: str) -> Any:
    """A leader's Pod, whose leader holds the Lease."""
    made = PlayedPod(cluster, namespace)
    made.says({"running": {"startedAt": to_wire(utcnow())}})
    hold_lease(cluster, namespace, made.leader)
    yield made
    made.release()


def ended(message: str = termination_line(LEADER)) -> Json:
    now = to_wire(utcnow())
    return {
        "terminated": {
            "exitCode": 137,
            "reason": "Error",
            "message": f"{message}\n",
            "startedAt": now,
            "finishedAt": now,
        }
    }


@pytest.mark.parametrize("key", ["state", "lastState"], ids=["ended", "restarted"])
async def test_a_standby_replaces_a_leader_whose_container_has_terminated(
    key: str, played: PlayedPod, namespace: str, kubeconfig: Path
) -> None:
    async with a_candidate(kubeconfig, namespace, own_holder()) as candidate:
        assert not await candidate.leads(within=2)
        played.says(ended(), key=key)
        assert await candidate.leads(within=20)


async def test_a_leader_is_not_replaced_because_its_previous_instance_has_terminated(
    played: PlayedPod, namespace: str, kubeconfig: Path
) -> None:
    """Its kubelet has not yet reported that the container was started again."""
    played.says(ended(termination_line("operator-1_ba9876543210")))
    async with a_candidate(kubeconfig, namespace, own_holder()) as candidate:
        assert not await candidate.leads(within=4)


@pytest.mark.parametrize("finalizer", [True, False], ids=["being deleted", "gone"])
async def test_a_leader_whose_pod_was_deleted_by_force_is_waited_for(
    finalizer: bool, played: PlayedPod, namespace: str, kubeconfig: Path
) -> None:
    played.delete(finalizer=finalizer)
    async with a_candidate(kubeconfig, namespace, own_holder()) as candidate:
        assert not await candidate.leads(within=4)


async def test_a_leader_whose_node_is_lost_is_waited_for(
    played: PlayedPod, namespace: str, kubeconfig: Path
) -> None:
    """What the controllers write of such a Pod; its containers may run on unobserved."""
    now = to_wire(utcnow())
    orphaned = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    unready = {"type": "Ready", "status": "False", "reason": "NodeStatusUnknown"}
    conditions = [one | {"lastTransitionTime": now} for one in (orphaned, unready)]
    running = {"running": {"startedAt": now}}
    played.says(running, phase="Failed", reason="NodeLost", conditions=conditions)
    async with a_candidate(kubeconfig, namespace, own_holder()) as candidate:
        assert not await candidate.leads(within=4)
