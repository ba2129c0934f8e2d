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
from nightcrawler_operator.keys import EffectKey, EventsKey
from nightcrawler_operator.telemetry import Telemetry
from nightcrawler_operator.workqueue import WorkQueue
from tests.support.modelserver import ModelServer
from tests.support.replica import ModelStore
from tests.support.views import execution
from tests.support.virtualtime import now, virtual_time

T = TypeVar("T")

PENDING = execution("run", phase="Pending")
STARTED = execution("run", phase="Running", startTime="2025-07-10T14:45:00Z")


class Mailbox(ModelStore):
    """Takes Events, or refuses them with an error, after so many seconds."""

    def __init__(self) -> None:
        self.server = ModelServer()
        super().__init__(self.server)
        self.refusal: errors.ApiError | None = None
        self.seconds = 0.0
        self.asked: list[float] = []

    @override
    async def create(self, resource: Resource, namespace: str, body: Any, kind: type[T], **options: Any) -> T:
        self.asked.append(now())
        await asyncio.sleep(self.seconds)
        if self.refusal is not None:
            raise self.refusal
        return await super().create(resource, namespace, body, kind, **options)

    @property
    def taken(self) -> list[str]:
        """Of which runs it has taken Events, and their reasons."""
        events = self.server.of(names.EVENTS).values()
        return [f"{event['involvedObject']['name']} {event['reason']}" for event in events]


class Office:
    """The effect with its queue and two workers."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.mailbox = Mailbox()
        self.telemetry = Telemetry()
        self.queue = WorkQueue[EffectKey]()
        self.effect = EventEffect(
            self.mailbox,
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
        """These runs start."""
        for run in runs:
            before = execution(run, phase="Pending")
            self.effect.recorded(before, execution(run, phase="Running", startTime="2025-07-10T14:45:00Z"))

    async def sent(self) -> list[str]:
        """What is there once nothing waits any more."""
        while self.queue.in_process or len(self.queue):  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)
        return self.mailbox.taken

    def dropped(self, why: str) -> float:
        name = "nightcrawler_events_dropped_total"
        return self.telemetry.registry.get_sample_value(name, {"why": why}) or 0.0


@virtual_time
async def test_what_was_recorded_is_sent_and_what_exists_is_not_sent_twice() -> None:
    office = Office()
    office.start("run")
    assert await office.sent() == ["run Started"]
    office.start("run")
    assert await office.sent() == ["run Started"]
    assert (len(office.effect), office.effect.all_keys()) == (0, [])


@virtual_time
@pytest.mark.parametrize("refusal", [None, errors.Forbidden("no rights")])
async def test_an_event_recorded_twice_costs_one_request(refusal: errors.ApiError | None) -> None:
    """The watch can report the end of a run before the write of it is answered."""
    office = Office()
    office.mailbox.refusal = refusal
    for _ in range(2):
        office.start("run", "other")
        await office.sent()
    assert len(office.mailbox.asked) == 2


@virtual_time
async def test_the_memory_of_sent_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect, "_MOST", 3)
    office = Office()
    for run in ("a", "b", "c", "d", "a", "d"):
        office.start(run)
        await office.sent()
    assert len(office.mailbox.asked) == 5


@virtual_time
async def test_an_event_is_sent_after_its_state_has_passed() -> None:
    office = Office()
    office.mailbox.seconds = 30
    office.effect.recorded(PENDING, STARTED)
    retrying = {"a": {"phase": "Retrying", "attempt": 1, "reason": "Error", "message": "m"}}
    office.effect.recorded(STARTED, execution("run", phase="Running", steps=retrying))
    office.effect.recorded(STARTED, execution("run", phase="Completed"))
    assert await office.sent() == ["run Started", "run StepRetried", "run Completed"]


@virtual_time
async def test_many_runs_are_sent_at_a_bounded_pace_after_a_burst() -> None:
    office = Office(Pace(per_second=10, burst=20))
    office.start(*(f"run-{number}" for number in range(70)))
    assert len(await office.sent()) == 70
    asked = office.mailbox.asked
    assert asked[19] == 0
    assert 4.5 < asked[-1] < 5.5


@virtual_time
async def test_an_api_server_that_refuses_events_is_retried_with_back_off() -> None:
    office = Office()
    office.mailbox.refusal = errors.Unavailable("away")
    office.start("a", "b", "c")
    await asyncio.sleep(200)
    assert len(office.mailbox.asked) <= 20
    assert len(office.effect) == 3
    office.mailbox.refusal = None
    assert sorted(await office.sent()) == ["a Started", "b Started", "c Started"]


@virtual_time
async def test_what_could_not_be_sent_for_ten_minutes_is_dropped() -> None:
    office = Office()
    office.mailbox.refusal = errors.TooManyRequests("later")
    office.start("a", "b")
    await asyncio.sleep(800)
    assert (len(office.effect), office.dropped("late")) == (0, 2)
    office.mailbox.refusal = None
    office.start("c")
    assert await office.sent() == ["c Started"]


@virtual_time
async def test_memory_is_bounded_while_nothing_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect, "_MOST", 50)
    office = Office()
    office.mailbox.seconds = 5
    office.start(*(f"run-{number}" for number in range(80)))
    assert (len(office.effect), office.dropped("too many")) == (50, 30)
    assert len(await office.sent()) == 50
    assert (len(office.effect), office.effect.all_keys()) == (0, [])


@pytest.mark.parametrize("refusal", [errors.Forbidden("no"), errors.NotFound("gone"), errors.Invalid("bad")])
def test_what_is_refused_for_good_is_dropped_and_explained_once(
    refusal: errors.ApiError, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual_time
    async def story() -> None:
        office = Office()
        office.mailbox.refusal = refusal
        with caplog.at_level(logging.WARNING):
            office.start("a", "b", "c")
            assert await office.sent() == []
        assert (len(office.mailbox.asked), office.dropped("refused")) == (3, 3)

    story()
    assert [record.getMessage() for record in caplog.records] == [
        f"an Event was refused, which delays no run: {refusal}"
    ]


@virtual_time
async def test_nothing_is_sent_after_this_process_has_stopped_leading() -> None:
    office = Office(Pace(per_second=1, burst=1))
    office.start("a", "b", "c")
    await asyncio.sleep(0)
    office.effect.clear()
    assert len(await office.sent()) <= 1
    assert (len(office.effect), office.effect.all_keys()) == (0, [])


@virtual_time
async def test_a_new_leader_repeats_what_the_last_one_may_not_have_sent() -> None:
    office = Office()
    waiting = {"a": {"phase": "Pending", "reason": "Unschedulable", "message": "no node"}}
    office.effect.repeat_recent([STARTED, execution("waits", phase="Pending", steps=waiting)])
    # That one started a year ago; who waits does so now.
    assert await office.sent() == ["waits Waiting"]
