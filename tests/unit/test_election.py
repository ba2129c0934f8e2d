"""The election, on an event loop whose clock jumps, against an API server that can be made to misbehave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from nightcrawler_crds import errors
from nightcrawler_crds.election.elector import Elector, LeaseTerms
from nightcrawler_crds.election.leadership import SoleLeader
from tests.support.leases import LeaseServer, LeaseStore, Witness
from tests.support.virtualtime import now, virtual_time

TERMS = LeaseTerms(namespace="ops", name="operator", lease_duration=15, renew_deadline=10, retry_period=2)
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Replica:
    """An elector, and when it began and ceased to lead."""

    def __init__(
        self,
        server: LeaseServer,
        name: str,
        *,
        delay: float = 0.0,
        reads_for: float = 0.0,
        dead: set[str] | None = None,
    ) -> None:
        self.store = LeaseStore(server, delay=delay)
        self.witness = Witness(name, dead, store=self.store)
        self.started: list[float] = []
        self.stopped: list[float] = []
        self.elector = Elector(
            self.store,
            TERMS,
            self.witness,
            on_started=lambda: self.started.append(now()),
            on_stopped=lambda: self.stopped.append(now()),
            clock=asyncio.get_running_loop().time,
        )
        self.task = asyncio.create_task(self._run(reads_for))

    async def _run(self, reads_for: float) -> None:
        if reads_for:
            await self.elector.observe_lease()
            await asyncio.sleep(reads_for)
        await self.elector.run()

    async def end(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    def vanish(self) -> None:
        """Be killed: no further request gets through."""
        self.store.hang()


@asynccontextmanager
async def replicas(server: LeaseServer, *names: str, delay: float = 0.0) -> AsyncIterator[list[Replica]]:
    """Replicas that started one after another, a second apart."""
    started: list[Replica] = []
    try:
        for name in names:
            started.append(Replica(server, name, delay=delay))
            await asyncio.sleep(1)
        yield started
    finally:
        for replica in started:
            await replica.end()


@virtual_time
async def test_the_first_replica_makes_the_lease_and_leads() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        assert a.elector.is_leader
        assert server.spec["holderIdentity"] == "a"
        assert server.spec["leaseDurationSeconds"] == 15
        assert server.spec["leaseTransitions"] == 0
        assert MICRO_TIME.fullmatch(server.spec["acquireTime"])
        assert MICRO_TIME.fullmatch(server.spec["renewTime"])


@virtual_time
async def test_a_second_replica_waits_while_the_first_renews() -> None:
    server = LeaseServer()
    async with replicas(server, "a", "b") as (a, b):
        acquired = server.spec["acquireTime"]
        await asyncio.sleep(3600)
        assert (a.started, a.stopped, b.started) == ([0], [], [])
        assert server.spec["acquireTime"] == acquired
        assert server.spec["renewTime"] > acquired


@virtual_time
async def test_renewing_costs_one_request_a_retry_period() -> None:
    server = LeaseServer()
    async with replicas(server, "a"):
        server.requests.clear()
        await asyncio.sleep(3600)
        assert server.requests == {"PATCH": 1800}


@virtual_time
async def test_a_killed_leader_is_replaced_when_its_lease_has_expired() -> None:
    server = LeaseServer()
    async with replicas(server, "a", "b") as (a, b):
        await asyncio.sleep(9.5)
        a.vanish()
        last_renewal = 10
        await asyncio.sleep(30)
        # What counts is when b saw the renewal: at its own next look, up to 2.4 s later.
        assert last_renewal + 15 <= b.started[0] <= last_renewal + 2.4 + 15
        assert server.spec["leaseTransitions"] == 1
        assert (b.elector.leader_changes, server.holder) == (1, "b")


@virtual_time
async def test_a_dead_leaders_lease_expires_while_its_successor_lists() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        a.vanish()
        b = Replica(server, "b", reads_for=8)
        await asyncio.sleep(30)
        assert b.started == [pytest.approx(1 + 15, abs=0.1)]
        await b.end()


@virtual_time
async def test_a_leader_that_renews_while_another_lists_is_not_replaced() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        b = Replica(server, "b", reads_for=60)
        await asyncio.sleep(3600)
        assert (a.started, a.stopped, b.started) == ([0], [], [])
        await b.end()


@virtual_time
async def test_a_first_read_of_the_lease_that_fails_is_retried() -> None:
    server = LeaseServer()
    server.refusal = errors.Unavailable("the API server is away")
    a = Replica(server, "a", reads_for=5)
    await asyncio.sleep(3)
    server.refusal = None
    await asyncio.sleep(3)
    assert a.started == [5]
    await a.end()


@virtual_time
async def test_a_released_lease_is_taken_within_two_retry_periods() -> None:
    server = LeaseServer()
    async with replicas(server, "a", "b") as (a, b):
        await a.end()
        ended = now()
        assert (a.stopped, server.holder) == ([ended], None)
        await asyncio.sleep(4)
        assert b.started[0] - ended < 4
        assert server.holder == "b"


@pytest.mark.parametrize("renewed", ["2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
@virtual_time
async def test_the_holders_clock_does_not_matter(renewed: str) -> None:
    server = LeaseServer()
    server.make(
        {
            "metadata": {},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": renewed},
        }
    )
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(30)
        assert a.started == [15]


@virtual_time
async def test_the_holders_own_lease_duration_is_waited_for() -> None:
    server = LeaseServer()
    server.make({"metadata": {}, "spec": {"holderIdentity": "other", "leaseDurationSeconds": 60}})
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(70)
        assert a.started == [60]


@virtual_time
async def test_labels_that_others_put_on_the_lease_prolong_nothing_and_stay() -> None:
    server = LeaseServer()
    server.make({"metadata": {}, "spec": {"holderIdentity": "other", "leaseDurationSeconds": 15}})
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(8)
        assert server.lease is not None
        server.lease["metadata"]["labels"] = {"team": "ml"}
        server.edit()
        await asyncio.sleep(10)
        assert a.started == [15]
        assert server.lease["metadata"]["labels"] == {"team": "ml"}


@virtual_time
async def test_a_leader_whose_requests_hang_stops_at_the_deadline_counted_from_its_last_renewal() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(10.5)
        last_renewal = 10
        a.store.hang()
        await asyncio.sleep(last_renewal + 9 - now())
        assert (a.elector.is_leader, a.elector.time_left()) == (True, 1)
        await asyncio.sleep(5)
        assert a.stopped == [last_renewal + 10]
        assert (a.elector.is_leader, a.elector.time_left()) == (False, 0)


@virtual_time
async def test_time_left_counts_from_the_start_of_the_request_not_from_its_answer() -> None:
    server = LeaseServer()
    async with replicas(server, "a", delay=0.4) as (a,):
        # The first look took 0.8 s; the claim began then, and its answer came at 1.6 s.
        await asyncio.sleep(0.7)
        assert a.started == [pytest.approx(1.6)]
        assert a.elector.time_left() == pytest.approx(0.8 + 10 - now())


@virtual_time
async def test_a_leader_whose_requests_are_refused_stops_at_the_deadline(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(9.5)
        server.refusal = errors.Forbidden("may not patch leases")
        await asyncio.sleep(30)
        assert a.stopped == [20]
        warnings = [
            r.getMessage()
            for r in caplog.records
            if "may not patch" in r.getMessage() and r.levelname == "WARNING"
        ]
        assert len(warnings) == 1, "the same warning is logged once"


@virtual_time
async def test_a_leader_that_could_not_renew_leads_again_if_nobody_took_over() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        a.store.hang()
        await asyncio.sleep(60)
        assert len(a.stopped) == 1
        a.store.recover()
        await asyncio.sleep(5)
        assert (len(a.started), a.elector.is_leader) == (2, True)


@virtual_time
async def test_a_leader_that_was_cut_off_finds_its_successor_and_waits() -> None:
    server = LeaseServer()
    async with replicas(server, "a", "b") as (a, b):
        a.store.hang()
        await asyncio.sleep(60)
        a.store.recover()
        await asyncio.sleep(60)
        assert (len(a.started), a.elector.is_leader, b.elector.is_leader) == (1, False, True)
        assert a.stopped[0] < b.started[0]


@virtual_time
async def test_a_renewal_whose_answer_is_lost_is_found_out_and_costs_no_leadership() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(2.5)
        a.store.loses_answers = True
        await asyncio.sleep(4)
        a.store.loses_answers = False
        await asyncio.sleep(60)
        assert (a.started, a.stopped) == ([0], [])


@virtual_time
async def test_a_deleted_lease_is_created_again_by_its_leader() -> None:
    server = LeaseServer()
    async with replicas(server, "a", "b") as (a, b):
        server.lease = None
        await asyncio.sleep(30)
        leaders = [replica for replica in (a, b) if replica.elector.is_leader]
        assert [leader.elector.identity for leader in leaders] == [server.holder]
        assert a.started == [0]


@virtual_time
async def test_a_leader_that_finds_another_in_the_lease_stops_at_once() -> None:
    server = LeaseServer()
    async with replicas(server, "a") as (a,):
        await asyncio.sleep(8.5)
        server.edit(holderIdentity="somebody")
        await asyncio.sleep(2)
        assert a.stopped == [10]
        assert a.elector.leader_changes == 1


@virtual_time
async def test_a_blocked_event_loop_does_not_prolong_leadership() -> None:
    server = LeaseServer()
    clock = {"ahead": 0.0}
    loop = asyncio.get_running_loop()
    elector = Elector(
        LeaseStore(server),
        TERMS,
        Witness("a"),
        on_started=lambda: None,
        on_stopped=lambda: None,
        clock=lambda: loop.time() + clock["ahead"],
    )
    task = asyncio.create_task(elector.run())
    await asyncio.sleep(1)
    assert elector.is_leader
    # As if something had blocked the loop, or the process had been stopped: no timer has run yet.
    clock["ahead"] = 9.0
    assert (elector.is_leader, elector.time_left()) == (False, 0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@virtual_time
async def test_stopping_during_a_claim_releases_the_lease() -> None:
    server = LeaseServer()
    a = Replica(server, "a", delay=0.2)
    await asyncio.sleep(0.7)  # a look takes 0.4 s, and the claim 0.2 s to get there
    assert (server.holder, a.started) == ("a", [])
    await a.end()
    assert (server.holder, a.started) == (None, [])


@virtual_time
async def test_stopping_while_the_api_server_hangs_takes_no_longer_than_one_request() -> None:
    server = LeaseServer()
    a = Replica(server, "a")
    await asyncio.sleep(1)
    a.store.hang()
    await a.end()
    assert now() - 1 <= 2
    assert a.stopped == [1]


@virtual_time
async def test_a_standby_that_stops_leaves_the_lease_alone() -> None:
    server = LeaseServer()
    async with replicas(server, "a", "b") as (a, b):
        await b.end()
        assert (server.holder, a.elector.is_leader) == ("a", True)


@virtual_time
async def test_a_sole_leader_leads_until_it_stops() -> None:
    calls: list[str] = []
    sole = SoleLeader(on_started=lambda: calls.append("started"), on_stopped=lambda: calls.append("stopped"))
    assert (sole.is_leader, sole.time_left()) == (False, 0)
    task = asyncio.create_task(sole.run())
    await asyncio.sleep(1000)
    assert sole.is_leader
    assert sole.time_left() > 1e9
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (sole.is_leader, calls) == (False, ["started", "stopped"])
