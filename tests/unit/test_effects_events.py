"""Sending Events: once, at a bounded pace, in bounded memory, and never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, TypeVar

import pytest
from typing_extensions import override

from nightcrawler_crds import errors, names
from nightcrawler_crds.names import Resource
from nightcrawler_operator.controller import Controller
from nightcrawler_operator.effects import events as effect
from nightcrawler_operator.effects.events import EventEffect
from nightcrawler_operator.effects.pace import Pace
from nightcrawler_operator.keys import EventsKey
from nightcrawler_operator.telemetry import Telemetry
from nightcrawler_operator.workqueue import WorkQueue
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore
from tests.support.views import execution
from tests.support.virtualtime import now, virtual_time

T = TypeVar("T")

PENDING = execution("run", phase="Pending")
STARTED = execution("run", phase="Running", startTime="2025-07-10T14:45:00Z")


class EventStore(ModelStore):
    """Accepts Events, or refuses them with an error, after so many seconds."""

    def __init__(self) -> None:
        self.server = ModelServer()
        super().__init__(self.server)
        self.refusal: errors.ApiError | None = None
        self.seconds = 0.0
        self.requests: list[float] = []

    @override
    async def create(self, resource: Resource, namespace: str, body: Any, kind: type[T], **options: Any) -> T:
        self.requests.append(now())
        await asyncio.sleep(self.seconds)
        if self.refusal is not None:
            raise self.refusal
        return await super().create(resource, namespace, body, kind, **options)

    @property
    def accepted(self) -> list[str]:
        """Run and reason of each accepted Event."""
        events = self.server.of(names.EVENTS).values()
        return [f"{event['involvedObject']['name']} {event['reason']}" for event in events]


class Harness:
    """The effect with its queue and two workers."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.store = EventStore()
        self.telemetry = Telemetry()
        self.queue = WorkQueue[EventsKey]()
        self.effect = EventEffect(
            self.store,
            instance="me",
            metrics=self.telemetry,
            wake=self.queue.add,
            pace=pace,
        )
        controller = Controller(
            self.queue, {EventsKey: self.effect}, metrics=self.telemetry, leads=lambda: True
        )
        self.workers = [asyncio.create_task(controller.work(self.queue)) for _ in range(2)]

    def start(self, *runs: str) -> None:
        """Report that runs start."""
        for run in runs:
            before = execution(run, phase="Pending")
            self.effect.recorded(before, execution(run, phase="Running", startTime="2025-07-10T14:45:00Z"))

    async def sent(self) -> list[str]:
        """The Events that exist once the queue is empty."""
        while self.queue.in_process or len(self.queue):  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)
        return self.store.accepted

    def dropped(self, why: str) -> float:
        name = "nightcrawler_events_dropped_total"
        return self.telemetry.registry.get_sample_value(name, {"why": why}) or 0.0


@virtual_time
async def test_what_was_recorded_is_sent_and_what_exists_is_not_sent_twice() -> None:
    harness = Harness()
    harness.start("run")
    assert await harness.sent() == ["run Started"]
    harness.start("run")
    assert await harness.sent() == ["run Started"]
    assert (len(harness.effect), harness.effect.all_keys()) == (0, [])


@virtual_time
@pytest.mark.parametrize("refusal", [None, errors.Forbidden("no rights")])
async def test_an_event_recorded_twice_costs_one_request(refusal: errors.ApiError | None) -> None:
    """The watch can report the end of a run before the write of it is answered."""
    harness = Harness()
    harness.store.refusal = refusal
    for _ in range(2):
        harness.start("run", "other")
        await harness.sent()
    assert len(harness.store.requests) == 2


@virtual_time
async def test_the_memory_of_sent_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect, "_MOST", 3)
    harness = Harness()
    for run in ("a", "b", "c", "d", "a", "d"):
        harness.start(run)
        await harness.sent()
    assert len(harness.store.requests) == 5


@virtual_time
async def test_an_event_is_sent_after_its_state_has_passed() -> None:
    harness = Harness()
    harness.store.seconds = 30
    harness.effect.recorded(PENDING, STARTED)
    retrying = {"a": {"phase": "Retrying", "attempt": 1, "reason": "Error", "message": "m"}}
    harness.effect.recorded(STARTED, execution("run", phase="Running", steps=retrying))
    harness.effect.recorded(STARTED, execution("run", phase="Completed"))
    assert await harness.sent() == ["run Started", "run StepRetried", "run Completed"]


@virtual_time
async def test_many_runs_are_sent_at_a_bounded_pace_after_a_burst() -> None:
    harness = Harness(Pace(per_second=10, burst=20))
    harness.start(*(f"run-{number}" for number in range(70)))
    assert len(await harness.sent()) == 70
    requests = harness.store.requests
    assert requests[19] == 0
    assert 4.5 < requests[-1] < 5.5


@virtual_time
async def test_an_api_server_that_refuses_events_is_retried_with_back_off() -> None:
    harness = Harness()
    harness.store.refusal = errors.Unavailable("away")
    harness.start("a", "b", "c")
    await asyncio.sleep(200)
    assert len(harness.store.requests) <= 20
    assert len(harness.effect) == 3
    harness.store.refusal = None
    assert sorted(await harness.sent()) == ["a Started", "b Started", "c Started"]


@virtual_time
async def test_what_could_not_be_sent_for_ten_minutes_is_dropped() -> None:
    harness = Harness()
    harness.store.refusal = errors.TooManyRequests("later")
    harness.start("a", "b")
    await asyncio.sleep(800)
    assert (len(harness.effect), harness.dropped("late")) == (0, 2)
    harness.store.refusal = None
    harness.start("c")
    assert await harness.sent() == ["c Started"]


@virtual_time
async def test_memory_is_bounded_while_nothing_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect, "_MOST", 50)
    harness = Harness()
    harness.store.seconds = 5
    harness.start(*(f"run-{number}" for number in range(80)))
    assert (len(harness.effect), harness.dropped("too many")) == (50, 30)
    assert len(await harness.sent()) == 50
    assert (len(harness.effect), harness.effect.all_keys()) == (0, [])


@pytest.mark.parametrize("refusal", [errors.Forbidden("no"), errors.NotFound("gone"), errors.Invalid("bad")])
def test_what_is_refused_for_good_is_dropped_and_explained_once(
    refusal: errors.ApiError, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual_time
    async def story() -> None:
        harness = Harness()
        harness.store.refusal = refusal
        with caplog.at_level(logging.WARNING):
            harness.start("a", "b", "c")
            assert await harness.sent() == []
        assert (len(harness.store.requests), harness.dropped("refused")) == (3, 3)

    story()
    assert [record.getMessage() for record in caplog.records] == [
        f"an Event was refused, which delays no run: {refusal}"
    ]


@virtual_time
async def test_nothing_is_sent_after_this_process_has_stopped_leading() -> None:
    harness = Harness(Pace(per_second=1, burst=1))
    harness.start("a", "b", "c")
    await asyncio.sleep(0)
    harness.effect.clear()
    assert len(await harness.sent()) <= 1
    assert (len(harness.effect), harness.effect.all_keys()) == (0, [])


@virtual_time
async def test_a_new_leader_repeats_what_the_last_one_may_not_have_sent() -> None:
    harness = Harness()
    waiting = {"a": {"phase": "Pending", "reason": "Unschedulable", "message": "no node"}}
    harness.effect.repeat_recent([STARTED, execution("waits", phase="Pending", steps=waiting)])
    # That one started a year ago; who waits does so now.
    assert await harness.sent() == ["waits Waiting"]
