"""A leader that is known to be dead is followed at once; one that is not has its Lease to run out."""

from __future__ import annotations

import asyncio

import pytest

from nightcrawler_crds.names import ANNOTATION_HOLDER
from tests.support.leases import LeaseServer
from tests.support.virtualtime import now, virtual_time
from tests.unit.test_election import Replica, replicas


@virtual_time
async def test_a_replica_that_finds_the_holder_dead_leads_at_once() -> None:
    server, dead = LeaseServer(), set[str]()
    async with replicas(server, "a") as (a,):
        a.vanish()
        dead.add("a")
        began = now()
        b = Replica(server, "b", dead=dead)
        await asyncio.sleep(0.1)
        assert (b.started, server.holder, server.spec["leaseTransitions"]) == ([began], "b", 1)
        assert '"identity":"b"' in server.annotation
        await b.end()


@virtual_time
async def test_a_standby_that_learns_of_the_leaders_death_leads_at_its_next_check() -> None:
    server, dead = LeaseServer(), set[str]()
    async with replicas(server, "a") as (a,):
        b = Replica(server, "b", dead=dead)
        await asyncio.sleep(60)
        a.vanish()
        dead.add("a")
        died = now()
        await asyncio.sleep(2.5)
        assert b.started[0] - died <= 2.4
        await b.end()


@virtual_time
async def test_a_replica_that_is_killed_every_six_seconds_leads_every_time() -> None:
    server, dead = LeaseServer(), set[str]()
    for life in range(80):
        replica = Replica(server, f"life-{life}", reads_for=1.5, dead=dead)
        await asyncio.sleep(6)
        assert replica.elector.is_leader
        replica.vanish()
        dead.add(f"life-{life}")
        await replica.end()
    assert server.spec["leaseTransitions"] == 79


@virtual_time
async def test_a_dead_leaders_renewal_that_arrives_before_the_claim_delays_it_by_one_check() -> None:
    server, dead = LeaseServer(), set[str]()
    async with replicas(server, "a") as (a,):
        a.vanish()
        dead.add("a")
        b = Replica(server, "b", delay=0.1, dead=dead)
        await asyncio.sleep(0.35)  # it has read the Lease, and checks the holder now
        server.edit(renewTime="2001-01-01T00:00:00.000000Z")
        await asyncio.sleep(1)
        assert (len(b.started), server.holder) == (1, "b")
        await b.end()


@virtual_time
async def test_a_dead_leaders_renewal_that_arrives_after_the_claim_is_refused() -> None:
    server, dead = LeaseServer(), set[str]()
    async with replicas(server, "a") as (a,):
        a.store.arrives_late = 3
        a.vanish()
        await asyncio.sleep(1.5)  # it has asked to renew
        dead.add("a")
        a.task.cancel()
        b = Replica(server, "b", dead=dead)
        await asyncio.sleep(5)
        assert (b.elector.is_leader, server.holder, b.stopped) == (True, "b", [])
        await b.end()


@pytest.mark.parametrize("written", ["", "{}", "null", "[", '{"identity":"somebody"}', '{"identity":7}'])
@virtual_time
async def test_a_holder_without_a_readable_identity_is_waited_for(written: str) -> None:
    server = LeaseServer()
    annotations = {ANNOTATION_HOLDER: written}
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 15}
    server.make({"metadata": {"annotations": annotations}, "spec": spec})
    a = Replica(server, "a", dead={"other", "somebody"})
    await asyncio.sleep(30)
    assert (a.started, a.witness.asked) == ([15], 0)
    await a.end()


@virtual_time
async def test_a_hanging_check_of_the_holder_delays_nobody_longer_than_the_lease() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        b = Replica(server, "b")
        b.witness.hang()
        await asyncio.sleep(60)
        assert (a.stopped, b.started) == ([], [])
        a.vanish()
        died = now()
        await asyncio.sleep(30)
        # The Lease, and at most two turns, each of a retry period with jitter (2.4 s) and a request (1.8 s).
        assert b.started[0] - died < 15 + 2 * (2.4 + 1.8)
        await b.end()


@virtual_time
async def test_a_released_lease_does_not_name_its_last_holder() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        assert '"identity":"a"' in server.annotation
        await a.end()
        assert server.annotation == ""
