"""A run under limits: in line until it has its places, which are recorded before its first Job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from nightcrawler_crds.allocation import Queue, Subject, subjects_of
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Step, conditions
from nightcrawler_operator.claims import Claim, Place, Standing, Withdrawn
from nightcrawler_operator.decisions.events import events_between
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import Plan, Waiting
from tests.support.snapshots import (
    SnapshotMaker,
    a_job,
    a_new_execution,
    a_snapshot,
    a_step,
    an_environment,
    at,
    wire,
)

Json = dict[str, Any]
LAB: Final = an_environment("lab", default=True, maxRunning=2)
FREE: Final = an_environment("free", default=True)
CLOSED: Final = an_environment("lab", default=True, maxRunning=2, state="Cordoned")
QUEUE: Final = Queue(Subject("Environment", "lab"), limit=2, running=2, ahead=3)


def a_place(name: str | None = "lab", **fields: Any) -> Place:
    return Place(name, EnvironmentSpec(max_running=2), conditions.CHOSEN, f"runs in {name}: so", **fields)


WAITS: Final = Standing(considered=True, place=a_place(), queue=QUEUE)
HAS: Final = Standing(granted=True, considered=True, place=a_place())


def of(status: Json, kind: str) -> Json | None:
    return next((c for c in status["conditions"] if c["type"] == kind), None)


def said(plan: Plan, kind: str = conditions.GRANTED) -> Any:
    found = of(dict(plan.status or {"conditions": ()}), kind)
    return found and (found["status"], found["reason"])


def in_line(*steps: Step | str, reason: str = conditions.QUEUED, **fields: Any) -> SnapshotMaker:
    """An execution that is recorded to wait for its places in lab."""
    waiting = a_snapshot(*steps, **fields).with_status(environment="lab", progress="0/1", message="waits")
    accepted = {"type": conditions.ACCEPTED, "status": "True", "reason": conditions.VALID}
    placed = {"type": conditions.PLACED, "status": "True", "reason": conditions.CHOSEN}
    queued = {"type": conditions.GRANTED, "status": "False", "reason": reason, "message": "waits"}
    marks = {"lastTransitionTime": wire(0)}
    return waiting.with_status(conditions=[one | marks for one in (accepted, placed, queued)]).with_fields(
        environments=(LAB,)
    )


def test_without_a_limit_a_run_begins_at_once_and_has_no_condition_for_it() -> None:
    plan = decide(a_new_execution().with_fields(environments=(FREE,)).build())

    assert (len(plan.first_jobs), plan.claim, said(plan)) == (1, None, None)


@pytest.mark.parametrize(
    "limited",
    [
        pytest.param(a_new_execution(maxRunning=1), id="its workflow's"),
        pytest.param(a_new_execution().with_fields(environments=(LAB,)), id="its Environment's"),
        pytest.param(a_new_execution().with_limits(max_running=9), id="the installation's"),
        pytest.param(a_new_execution().with_limits(max_running_per_namespace=9), id="any namespace's"),
        pytest.param(a_new_execution().with_limits(max_running_in={"default": 9}), id="its namespace's"),
    ],
)
def test_under_a_limit_it_claims_places_first_and_nothing_is_written_yet(limited: SnapshotMaker) -> None:
    plan = decide(limited.build())

    assert isinstance(plan.claim, Claim)
    assert (plan.first_jobs, plan.status, plan.revision, plan.adopt) == ((), None, None, False)


def test_a_limit_of_another_namespace_is_none() -> None:
    plan = decide(a_new_execution().with_limits(max_running_in={"other": 1}).build())

    assert (len(plan.first_jobs), plan.claim) == (1, None)


def test_a_claim_is_for_all_subjects_of_the_run_by_its_priority_and_age() -> None:
    plan = decide(a_new_execution(priority="high").with_fields(environments=(LAB,)).at(9).build())

    assert isinstance(plan.claim, Claim)
    assert plan.claim.subjects == subjects_of("default", "wf", "lab")
    assert tuple(plan.claim.rank) == (1, at(0), "default", "run-1")
    assert (plan.claim.made_at, plan.claim.flexible, plan.claim.place.name) == (at(9), False, "lab")


def test_a_run_that_a_strategy_places_may_be_placed_anew() -> None:
    there = (LAB, an_environment("west"))
    plan = decide(
        a_new_execution(environmentStrategy="cost", environments=["lab", "west"])
        .with_fields(environments=there)
        .build()
    )
    assert plan.claim is None  # its earlier runs are looked up first
    assert plan.lookups


def test_that_a_run_has_to_wait_is_recorded_with_what_it_waits_for() -> None:
    plan = decide(a_new_execution().with_fields(environments=(LAB,), standing=WAITS).build())

    assert plan.status is not None
    assert (plan.first_jobs, isinstance(plan.claim, Claim)) == ((), True)
    assert (said(plan, conditions.ACCEPTED), said(plan)) == (
        ("True", conditions.VALID),
        ("False", conditions.QUEUED),
    )
    assert (plan.status["environment"], plan.status["phase"]) == ("lab", "Pending")
    assert plan.status["message"] == (
        "waits for its turn: environment 'lab' has 2 of at most 2 runs under way, and 3 wait before it"
    )
    assert plan.revision is not None
    assert plan.status["revision"] == plan.revision.name


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        (
            Queue(Subject("Workflow", "train", "default"), limit=1, running=1, ahead=0),
            "workflow 'train' has 1 of at most 1 run under way",
        ),
        (
            Queue(Subject("Installation"), limit=9, running=9, ahead=1),
            "the installation has 9 of at most 9 runs under way, and 1 run waits before it",
        ),
        (
            Queue(Subject("Namespace", "vision"), limit=9, running=8, ahead=2),
            "namespace 'vision' has 8 of at most 9 runs under way, and 2 wait before it",
        ),
    ],
)
def test_the_sentence_says_behind_how_many_and_for_what(queue: Queue, words: str) -> None:
    assert queue.sentence == words


def test_while_it_waits_nothing_is_written_again() -> None:
    """Those ahead of it change all the time."""
    plan = decide(in_line().with_fields(standing=WAITS).at(600).build())

    assert (plan.status, isinstance(plan.claim, Claim)) == (None, True)


def test_it_moves_in_line_if_its_environment_is_closed_and_another_is_open() -> None:
    there = (CLOSED, an_environment("west", maxRunning=1))
    plan = decide(
        in_line(environments=["lab", "west"]).with_fields(environments=there, standing=WAITS).at(9).build()
    )
    assert plan.status is not None
    assert plan.status["environment"] == "west"
    assert isinstance(plan.claim, Claim)
    assert plan.claim.subjects == subjects_of("default", "wf", "west")


def test_that_it_has_its_places_is_recorded_alone_and_its_jobs_follow() -> None:
    given = in_line().with_fields(standing=HAS).at(60).build()
    plan = decide(given)

    assert (said(plan), plan.first_jobs) == (("True", conditions.PLACES_GRANTED), ())
    assert plan.status is not None
    assert plan.status["message"] is None
    assert plan.outcome == Waiting(at(60))


def test_a_run_that_gets_its_places_at_once_is_accepted_in_the_same_write() -> None:
    plan = decide(a_new_execution().with_fields(environments=(LAB,), standing=HAS).build())

    assert (said(plan), said(plan, conditions.ACCEPTED)) == (
        ("True", conditions.PLACES_GRANTED),
        ("True", conditions.VALID),
    )
    assert plan.revision is not None


def granted(made: SnapshotMaker, since: float) -> SnapshotMaker:
    status = [c for c in made.status["conditions"] if c["type"] != conditions.GRANTED]
    new = {"type": conditions.GRANTED, "status": "True", "reason": conditions.PLACES_GRANTED}
    return made.with_status(conditions=[*status, new | {"lastTransitionTime": wire(since)}])


def test_a_run_that_is_recorded_to_have_its_places_begins() -> None:
    plan = decide(granted(in_line(), 60).at(60).build())

    assert len(plan.first_jobs) == 1


def test_the_time_in_line_does_not_count_for_the_queue_timeout() -> None:
    step = a_step(resources={"gpu": "1x NVIDIA H100"})
    waited = granted(in_line(step), 90_000)

    for seconds, phase in ((90_010, "Pending"), (90_000 + 24 * 3600, "Failed")):
        plan = decide(waited.at(seconds).build())
        assert plan.status is not None
        assert plan.status["steps"]["train"]["phase"] == phase


def test_places_that_were_given_too_late_do_not_let_it_begin() -> None:
    late = granted(in_line(), 5)

    plan = decide(late.with_fields(standing=Standing(considered=True, late=True)).build())
    assert (plan.first_jobs, isinstance(plan.claim, Claim)) == ((), True)

    taken_back = Standing(considered=True, late=True, place=a_place(), queue=QUEUE)
    assert said(decide(late.with_fields(standing=taken_back).build())) == ("False", conditions.QUEUED)

    has_them = Standing(granted=True, considered=True, late=True, place=a_place())
    assert len(decide(late.with_fields(standing=has_them).build()).first_jobs) == 1

    elsewhere = Standing(granted=True, considered=True, late=True, place=a_place("west"))
    there = (CLOSED, an_environment("west"))
    plan = decide(late.with_fields(standing=elsewhere, environments=there).build())
    assert plan.first_jobs == ()


def test_a_run_with_jobs_goes_on_whatever_is_recorded_of_its_places() -> None:
    plan = decide(in_line().with_job(a_job()).with_fields(standing=WAITS).build())

    assert (plan.claim, plan.first_jobs) == (None, ())


def test_places_in_an_environment_that_was_closed_meanwhile_are_given_back() -> None:
    plan = decide(in_line().with_fields(environments=(CLOSED,), standing=HAS).at(9).build())

    assert isinstance(plan.claim, Withdrawn)
    assert said(plan) == ("False", conditions.CORDONED)
    assert plan.outcome == Waiting(at(9) + timedelta(minutes=10))


def test_a_strategy_that_changes_its_mind_does_not_take_places_away() -> None:
    there = (LAB, an_environment("west", maxRunning=1))
    placed = in_line(environments=["west", "lab"]).with_fields(environments=there, standing=HAS)

    plan = decide(placed.build())

    assert (said(plan), (plan.status or {}).get("environment", "lab")) == (
        ("True", conditions.PLACES_GRANTED),
        "lab",
    )


def test_an_environment_that_is_gone_is_left_for_another_or_the_run_is_refused() -> None:
    west = an_environment("west", maxRunning=1)
    plan = decide(in_line(environments=["west"]).with_fields(environments=(west,), standing=HAS).build())
    assert isinstance(plan.claim, Claim)

    plan = decide(
        in_line().with_spec(environment="lab").with_fields(environments=(west,), standing=HAS).build()
    )
    assert said(plan, conditions.ACCEPTED) == ("False", conditions.UNKNOWN_ENVIRONMENT)


def test_a_run_in_line_can_be_cancelled() -> None:
    plan = decide(in_line().cancelled().with_fields(standing=WAITS).build())

    assert plan.status is not None
    assert (plan.status["phase"], plan.status["message"]) == ("Cancelled", "cancelled before it began")


def test_a_run_in_line_whose_revision_is_not_cached_has_it_looked_up() -> None:
    plan = decide(in_line().with_fields(revision=None).build())
    assert [type(lookup).__name__ for lookup in plan.lookups] == ["LookForRevision"]

    plan = decide(in_line().with_fields(revision=None, absent={"wf-rev"}).build())
    assert said(plan, conditions.ACCEPTED) == ("False", conditions.REVISION_LOST)


def test_a_foreign_execution_is_adopted_when_it_is_recorded_to_wait() -> None:
    foreign = a_new_execution().with_metadata(ownerReferences=[], labels={})
    plan = decide(foreign.with_fields(environments=(LAB,), standing=WAITS).build())

    assert plan.adopt


def test_waiting_in_line_is_an_event_for_kubectl_describe() -> None:
    before, after = (made.build().execution.status for made in (a_snapshot(), in_line()))

    [event] = events_between(before, after)

    assert (event.reason, event.message) == (conditions.EVENT_WAITING, "waits (Queued)")
