"""After any network faults, two replicas never lead at the same time, and in the end one does."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds.election.elector import Elector, LeaseTerms
from nightcrawler_crds.kube.nativeviews import LeaseView
from tests.support.leases import LeaseServer, LeaseStore, Witness
from tests.support.virtualtime import run

TERMS = LeaseTerms(namespace="ops", name="operator", lease_duration=15, renew_deadline=10, retry_period=2)

# A fault: of which replica, after how many seconds, and what.
fault = st.tuples(
    st.integers(0, 2),
    st.floats(0.1, 12),
    st.sampled_from(
        ["hang", "recover", "lose answers", "slow", "fast", "restart", "kill", "die", "die late"]
    ),
)


class Replicas:
    """Three electors, and a watch over who leads."""

    def __init__(self, kind: type[Elector]) -> None:
        self.kind = kind
        self.server = LeaseServer()
        self.stores: list[LeaseStore] = []
        self.electors: list[Elector] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.born = 0
        self.dead: set[str] = set()
        self.dying: list[asyncio.Task[None]] = []
        self.crowds: list[list[str]] = []
        for place in range(3):
            self.start(place)

    def start(self, place: int) -> None:
        self.born += 1
        store = LeaseStore(self.server, delay=0.01)
        elector = self.kind(
            store,
            TERMS,
            Witness(f"replica-{self.born}", self.dead, store=store),
            on_started=self.check,
            on_stopped=lambda: None,
            clock=asyncio.get_running_loop().time,
        )
        task = asyncio.create_task(elector.run())
        if place == len(self.stores):
            self.stores.append(store)
            self.electors.append(elector)
            self.tasks.append(task)
        else:
            self.stores[place], self.electors[place], self.tasks[place] = store, elector, task

    async def inject(self, place: int, what: str) -> None:
        store = self.stores[place]
        match what:
            case "hang":
                store.hang()
            case "recover":
                store.recover()
                store.loses_answers = False
            case "lose answers":
                store.loses_answers = True
            case "slow" | "fast":
                store.delay = 0.8 if what == "slow" else 0.01
            case "kill":
                store.hang()
                await self.stop(place)
                self.start(place)
            case "die" | "die late":
                await self.die(place, late=what == "die late")
            case _:  # restart
                await self.stop(place)
                self.start(place)

    async def die(self, place: int, *, late: bool) -> None:
        """Kill it, and report it dead; its last request may arrive long after that."""
        self.stores[place].arrives_late = 5.0 if late else None
        self.stores[place].hang()
        self.tasks[place].cancel()
        await asyncio.sleep(0)
        self.dying.append(self.tasks[place])
        self.dead.add(self.electors[place].identity)
        self.start(place)

    async def stop(self, place: int) -> None:
        self.tasks[place].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[place]

    def check(self) -> None:
        """A second leader can only be one that has just begun, so this is when to look."""
        leaders = [elector.identity for elector in self.electors if elector.is_leader]
        if len(leaders) > 1:
            self.crowds.append(leaders)


async def live_through(replicas: Replicas, faults: list[tuple[int, float, str]]) -> None:
    for place, pause, what in faults:
        await asyncio.sleep(pause)
        await replicas.inject(place, what)
    for place in range(3):
        await replicas.inject(place, "recover")
        await replicas.inject(place, "fast")
    await asyncio.sleep(40)
    await asyncio.gather(*replicas.dying, return_exceptions=True)


@settings(max_examples=40)
@given(faults=st.lists(fault, max_size=25), seed=st.integers())
def test_two_replicas_never_lead_at_once_and_one_does_in_the_end(
    faults: list[tuple[int, float, str]], seed: int
) -> None:
    async def main() -> None:
        replicas = Replicas(Elector)
        await live_through(replicas, faults)
        assert replicas.crowds == []
        leaders = [elector.identity for elector in replicas.electors if elector.is_leader]
        assert leaders == [replicas.server.holder]

    random.seed(seed)
    run(main())


class HastyElector(Elector):
    """Takes what is not free."""

    @override
    def _is_free(self, lease: LeaseView) -> bool:
        return True


def test_the_check_detects_two_leaders() -> None:
    async def main() -> None:
        replicas = Replicas(HastyElector)
        await live_through(replicas, [(0, 10.0, "hang")])
        assert replicas.crowds

    run(main())
