"""A program that is evicted for its own use of disk and ends politely has not succeeded."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import LookForEvents
from nightcrawler_operator.snapshot import ObservedEvents
from tests.support.snapshots import SnapshotMaker, a_pod, a_snapshot, a_step, an_event, at

DONE: Final = a_pod().exited(0, end=60, started=1)
LOOK: Final = LookForEvents(DONE.view.metadata.uid, "Pod", of_its_end=True)
EVICTED: Final = an_event("Evicted", "Pod ephemeral local storage usage exceeds the total limit of 10M. ", 58)


def ended(*observed: Any, **step: Any) -> SnapshotMaker:
    seen = a_snapshot(a_step(**step)).recorded("train", "Running").with_pod(DONE).at(61)
    return seen.with_fields(events=dict(observed)) if observed else seen


def test_a_success_with_scratch_space_is_believed_only_after_its_events_were_asked_for() -> None:
    plan = decide(ended(resources={"ephemeralStorage": "10 MB"}).build())
    assert plan.lookups == (LOOK,)
    assert plan.status is None or "train" not in plan.status.get("steps", {})


@pytest.mark.parametrize(
    ("events", "phase", "reason"),
    [((), "Completed", None), ((EVICTED,), "Failed", conditions.STEP_DISK)],
    ids=["without an eviction it is a success", "with one it is the program's failure"],
)
def test_the_events_decide_whether_the_pod_was_evicted(
    events: tuple[Any, ...], phase: str, reason: str | None
) -> None:
    observed = (LOOK.key, ObservedEvents(at(61), events))
    plan = decide(ended(observed, resources={"ephemeralStorage": "10 MB"}).build())
    assert plan.lookups == ()
    assert plan.status is not None
    step = plan.status["steps"]["train"]
    assert (step["phase"], step.get("reason")) == (phase, reason)


def test_events_listed_before_the_end_do_not_count() -> None:
    observed = (LOOK.uid, ObservedEvents(at(20), ()))
    assert decide(ended(observed, resources={"ephemeralStorage": "10 MB"}).build()).lookups == (LOOK,)


def test_a_step_without_scratch_space_costs_no_request() -> None:
    plan = decide(ended().build())
    assert plan.lookups == ()
    assert plan.status is not None
    assert plan.status["phase"] == "Completed"
