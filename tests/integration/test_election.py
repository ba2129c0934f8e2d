"""The election on the real API server, with the rights that the operator has."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from localcluster.credentials import OPERATOR
from nightcrawler_crds.election.elector import Elector, LeaseTerms
from nightcrawler_crds.election.holder import Witness, own_holder
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.store import Store
from tests.support.operator import QUICK_LEASE, Operators, grant_rights
from tests.support.polling import eventually

NAME: Final = "nightcrawler-operator"
MICRO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Candidate:
    """An elector with a connection of its own, as a replica has it, and when it led, by `time.monotonic`."""

    def __init__(self, connection: Connection, terms: LeaseTerms, witness: Witness | None = None) -> None:
        self.started: list[float] = []
        self.stopped: list[float] = []
        self.elector = Elector(
            Store(connection),
            terms,
            witness or Witness(Store(connection), own_holder()),
            on_started=lambda: self.started.append(time.monotonic()),
            on_stopped=lambda: self.stopped.append(time.monotonic()),
        )
        self.connection = connection
        self.task = asyncio.create_task(self.elector.run())

    async def end(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def leads(self, within: float = 20) -> None:
        await until(lambda: self.elector.is_leader, within)


async def until(look: Callable[[], Any], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not look():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


@asynccontextmanager
async def candidates(kubeconfig: Path, terms: LeaseTerms, count: int) -> AsyncIterator[list[Candidate]]:
    made: list[Candidate] = []
    try:
        for _ in range(count):
            connection = await Connection.open("test-of-election", kubeconfig=str(kubeconfig))
            made.append(Candidate(connection, terms))
        yield made
    finally:
        for candidate in made:
            await candidate.end()
            await candidate.connection.close()


def quick(namespace: str, **times: float) -> LeaseTerms:
    usual = {"lease_duration": 6.0, "renew_deadline": 4.0, "retry_period": 1.0}
    return LeaseTerms(namespace=namespace, name=NAME, **(usual | times))


def lease_path(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{NAME}"


@pytest.fixture
def kubeconfig(cluster: LocalCluster, namespace: str) -> Path:
    """That of the operator's user, who may do in the namespace what the operator may."""
    grant_rights(cluster, namespace)
    return cluster.kubeconfig_of(OPERATOR)


async def test_of_three_candidates_one_leads_and_the_lease_names_it(
    cluster: LocalCluster, namespace: str, kubeconfig: Path
) -> None:
    async with candidates(kubeconfig, quick(namespace), 3) as three:
        await until(lambda: any(c.elector.is_leader for c in three))
        await asyncio.sleep(2.5)  # for the others to try twice
        leaders = [c for c in three if c.elector.is_leader]
        assert len(leaders) == 1
        spec = cluster.api.get(lease_path(namespace))["spec"]
        assert spec["holderIdentity"] == leaders[0].elector.identity
        assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (6, 0)
        assert MICRO_TIME.fullmatch(spec["acquireTime"])
        assert MICRO_TIME.fullmatch(spec["renewTime"])
        assert spec["renewTime"] > spec["acquireTime"]


async def test_a_released_lease_is_taken_within_two_retry_periods(
    cluster: LocalCluster, namespace: str, kubeconfig: Path
) -> None:
    async with candidates(kubeconfig, quick(namespace), 2) as both:
        await until(lambda: any(c.elector.is_leader for c in both))
        first, second = sorted(both, key=lambda c: not c.elector.is_leader)
        await first.end()
        ended = time.monotonic()
        await second.leads()
        assert second.started[0] - ended < 2
        assert first.stopped[0] <= second.started[0]
        assert cluster.api.get(lease_path(namespace))["spec"]["leaseTransitions"] == 1


def test_a_suspended_operator_is_replaced_only_when_its_lease_has_expired(
    operators: Operators, cluster: LocalCluster, namespace: str
) -> None:
    """It is there, and would go on where it was: nothing says that it is dead."""
    first = operators.start(**QUICK_LEASE)
    second = operators.make(**QUICK_LEASE)
    second.start(leading=False)
    suspended = first.leader
    first.pause()
    left = cluster.api.get(lease_path(namespace))["spec"]
    eventually(lambda: second.leader not in ("", suspended), within=30, what="the second operator to lead")
    taken = cluster.api.get(lease_path(namespace))["spec"]
    waited = datetime.fromisoformat(taken["acquireTime"]) - datetime.fromisoformat(left["renewTime"])
    assert 0 <= waited.total_seconds() - QUICK_LEASE["lease_duration"] < 3


async def test_what_others_write_on_the_lease_stays(
    cluster: LocalCluster, namespace: str, kubeconfig: Path
) -> None:
    async with candidates(kubeconfig, quick(namespace, retry_period=0.3), 1) as (only,):
        await only.leads()
        cluster.api.merge(lease_path(namespace), {"metadata": {"labels": {"team": "ml"}}})
        labelled = cluster.api.get(lease_path(namespace))["spec"]["renewTime"]

        def renewed() -> bool:
            lease = cluster.api.get(lease_path(namespace))
            assert lease["metadata"]["labels"] == {"team": "ml"}
            return bool(lease["spec"]["renewTime"] > labelled)

        await until(renewed)
        assert only.stopped == []


async def test_a_deleted_lease_is_recreated_without_a_break(
    cluster: LocalCluster, namespace: str, kubeconfig: Path
) -> None:
    async with candidates(kubeconfig, quick(namespace, retry_period=0.3), 1) as (only,):
        await only.leads()
        cluster.api.delete(lease_path(namespace))
        await until(lambda: cluster.api.exists(lease_path(namespace)))
        await until(lambda: only.elector.time_left() > 3)
        assert only.stopped == []


async def test_an_operator_without_rights_to_leases_never_leads_and_says_why_once(
    cluster: LocalCluster, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "nightcrawler_crds.election")  # on which the further ones are
    async with candidates(cluster.kubeconfig_of(OPERATOR), quick(namespace), 1) as (powerless,):
        await until(lambda: caplog.text.count("cannot be read or written") >= 3)
        assert powerless.started == []
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    complaints = [said for said in warnings if "forbidden" in said]
    assert len(complaints) == 1
    assert f"{namespace}/{NAME}" in complaints[0]


async def test_a_leader_stops_by_the_deadline_while_the_api_server_hangs_and_leads_again_after(
    tmp_path: Path,
) -> None:
    with LocalCluster.start(tmp_path / "frail") as frail:
        server = frail.pids()["kube-apiserver"]
        terms = quick("default")
        async with candidates(frail.kubeconfig, terms, 2) as both:
            await until(lambda: any(c.elector.is_leader for c in both))
            leader = next(c for c in both if c.elector.is_leader)
            os.kill(server, signal.SIGSTOP)
            try:
                frozen = time.monotonic()
                left = leader.elector.time_left()
                await until(lambda: leader.stopped, within=10)
                assert leader.stopped[0] - frozen < terms.renew_deadline + 0.5
                assert leader.stopped[0] - frozen == pytest.approx(left, abs=0.5)
                assert leader.elector.time_left() == 0
            finally:
                os.kill(server, signal.SIGCONT)
            await until(lambda: any(c.elector.is_leader for c in both), within=30)
            assert sum(c.elector.is_leader for c in both) == 1
