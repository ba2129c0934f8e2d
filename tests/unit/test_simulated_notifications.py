"""Messages about runs, with deaths between any two writes and sendings; as `test_simulated_faults`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from nightcrawler_crds import errors, names
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.effects.notifications.delivery import DeliveryError
from nightcrawler_operator.keys import NoticeKey
from tests.support.modelserver import Json
from tests.support.modelstore import Death
from tests.support.replica import the_servers_time
from tests.support.simulation import (
    LIMITS,
    RUN,
    Action,
    Simulation,
    any_action,
    assert_right_end,
    effects,
    graphs,
    many_examples,
    simulate,
    with_statistics,
)

ONE_STEP: Final[list[Json]] = [{"name": "a", "image": "b:1", "retries": 0}]
ALL: Final = ["start", "complete", "fail", "cancel", "retry", "late"]


def wants(*channels: str, events: list[str] | None = None) -> Json:
    ticked = dict.fromkeys(channels, True)
    config = {"notifications": ticked, **({} if events is None else {"notificationEvents": events})}
    return {"config": config}


def notices(made: Simulation) -> Json:
    found: Json = made.status.get("notifications", {})
    return found


@many_examples
@given(
    graphs(),
    st.lists(any_action | effects, min_size=20, max_size=80),
    st.integers(1, 2),
)
def test_each_message_arrives_and_a_death_repeats_it_at_most_once(
    steps: list[Json], actions: list[Action], replicas: int
) -> None:
    made = with_statistics(simulate(steps, actions, replicas, spec=wants("webhook", "slack", events=ALL)))
    assert_right_end(made, steps)
    recorded = notices(made)
    lives = replicas + sum(one.deaths for one in made.replicas)

    assert {one["state"] for one in recorded.values()} <= {"Sent"}
    assert len(made.receiver.counted) == len(recorded)
    assert max(made.receiver.counted.values(), default=0) <= lives
    end = {"Completed": "complete", "Failed": "fail"}[made.status["phase"]]
    assert {f"{end}/webhook", f"{end}/slack"} <= recorded.keys()
    assert ("startTime" in made.status) == ("start/webhook" in recorded)
    assert made.status["settled"] is True
    event(f"messages: {len(recorded) // 4 * 4} or more")


@pytest.mark.parametrize("answered", [True, False], ids=["sent", "not sent"])
def test_who_dies_between_sending_and_recording_sends_once_more_with_the_same_id(answered: bool) -> None:
    made = Simulation(ONE_STEP, 1, spec=wants("webhook", events=["complete"]))

    async def story() -> None:
        await made.run_without_faults(effects=False)
        pending = {"state": "Pending", "time": made.status["completionTime"]}
        assert notices(made) == {"complete/webhook": pending}
        await made.apply(Action("effects", death=Death(0, answered)))
        assert made.replicas[0].deaths == 1
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    (count,) = made.receiver.counted.values()
    assert count == 1 + answered
    assert notices(made)["complete/webhook"]["attempts"] == 1


def test_an_api_server_that_is_away_after_the_sending_has_nothing_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Simulation(ONE_STEP, 1, spec=wants("webhook", "email", events=["complete"]))
    one = made.replicas[0]

    def away(*_: Any, **__: Any) -> Any:
        raise errors.Unavailable("nobody answers")

    async def story() -> None:
        await made.run_without_faults(effects=False)
        await made.apply(Action("effects"))
        assert len(made.receiver.taken) == 2
        with monkeypatch.context() as broken:
            broken.setattr(made.server, "patch", away)
            for _ in range(50):
                await one.work()
                await one.work_on_effects()
                for key in one.effects[NoticeKey].all_keys():  # as a new leader does
                    one.slow.wake(key)
        assert {notice["state"] for notice in notices(made).values()} == {"Pending"}
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert len(made.receiver.taken) == 2
    assert {notice["state"] for notice in notices(made).values()} == {"Sent"}
    assert len(one.cluster.notices.deliveries) == 0


def test_a_receiver_that_never_takes_anything_is_given_up_with_the_duty() -> None:
    made = Simulation(ONE_STEP, 1, spec=wants("webhook", events=["start", "complete"]))
    made.receiver.refuses = lambda _: DeliveryError("the receiver answered 500")

    async def story() -> None:
        await made.run_without_faults()
        await made.run_without_faults(until_clean=True)

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert made.status["settled"] is True
    for notice in notices(made).values():
        assert notice["state"] == "Failed"
        assert "the receiver answered 500" in notice["lastError"]
    # Every 5, 10, 20, ... seconds, for a quarter of an hour; each attempt is a write.
    assert 10 <= made.receiver.asked <= 2 * 9


def test_a_run_without_notifications_costs_no_write_and_owes_nothing() -> None:
    quiet = simulate(ONE_STEP, [], replicas=1)
    off = simulate(ONE_STEP, [], replicas=1, spec=wants("webhook", events=["cancel"]))
    assert not quiet.receiver.asked
    assert not off.receiver.asked
    assert quiet.server.version == off.server.version
    for made in (quiet, off):
        assert {"settled", "duties", "notifications"}.isdisjoint(made.status)


def test_deleting_a_run_ends_its_messages() -> None:
    made = Simulation(ONE_STEP, 1, spec=wants("webhook", events=["complete"]))
    made.receiver.refuses = lambda _: DeliveryError("the receiver answered 503")
    one = made.replicas[0]

    async def story() -> None:
        await made.run_without_faults(effects=False)
        await made.apply(Action("effects"))
        made.server.delete(names.EXECUTIONS, RUN)
        await made.apply(Action("catch up"))
        made.server.now += 2 * made.invariants.patience
        await one.work_on_effects()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert made.receiver.asked == 1
    assert len(one.cluster.notices.deliveries) == 0


def test_a_late_run_is_told_of_once_at_80_percent_of_its_timeout() -> None:
    spec = wants("slack", events=["late"])
    spec["config"] |= {"timeout": "100 seconds"}
    made = Simulation(ONE_STEP, 1, spec=spec)

    async def story() -> None:
        await made.apply(Action("catch up"))
        await made.apply(Action("kubelet"))
        began = made.server.now
        await made.apply(Action("catch up"))
        while not notices(made) and made.server.now < began + timedelta(seconds=99):
            made._pass_time()
            await made.apply(Action("catch up"))
        assert made.server.now == began + timedelta(seconds=80)
        assert notices(made)["late/slack"]["state"] == "Pending"
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    assert [facts.title for facts in made.receiver.facts] == ["wf is late: 80% of its timeout are over"]
    assert conditions.NOTIFICATIONS_CONFIGURED not in str(made.status)
    assert LIMITS.duty_timeout
