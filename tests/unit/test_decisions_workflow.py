"""The status of a workflow: whether it can run, what has no effect yet, how it went last."""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.validation import PodPolicy
from nightcrawler_operator.decisions.workflow import LastRun, status_patch
from tests.support.merging import merged_status
from tests.support.snapshots import a_workflow, at, wire

STEPS: Final[dict[str, Any]] = {"steps": [{"name": "a", "image": "busybox:1"}]}


def patch(
    spec: dict[str, Any], *, active: int = 0, last: LastRun | None = None, status: Any = None, **meta: Any
) -> dict[str, Any]:
    workflow = a_workflow(spec, **meta)
    if status is not None:
        workflow = merged_status(workflow, status)
    return status_patch(workflow, PodPolicy(), active=active, last=last, now=at(50))


def conditions_of(spec: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in patch(spec)["conditions"]}


def test_a_sound_workflow_is_accepted_and_nothing_of_it_is_deferred() -> None:
    assert conditions_of(STEPS) == {
        conditions.ACCEPTED: ("True", conditions.VALID, "it can run"),
        conditions.DEFERRED: ("False", conditions.NOTHING_DEFERRED, "all that is set has effect"),
    }


def test_an_unknown_dependency_is_not_accepted() -> None:
    broken = {"steps": [{"name": "a", "image": "b:1", "dependsOn": ["z"]}]}

    assert conditions_of(broken)[conditions.ACCEPTED][:2] == ("False", conditions.UNKNOWN_DEPENDENCY)


def test_an_unreadable_spec_names_the_field() -> None:
    status, reason, message = conditions_of({"steps": [{"name": "a", "image": "b:1", "timeout": "soon"}]})[
        "Accepted"
    ]

    assert (status, reason) == ("False", conditions.INVALID_SPEC)
    assert message.startswith("spec.steps[0].timeout: duration '")


def test_a_workflow_without_any_environment_can_run_where_a_run_says() -> None:
    status, reason, message = conditions_of(STEPS | {"environments": []})[conditions.ACCEPTED]
    assert (status, reason) == ("True", conditions.VALID)
    assert message == "it can run where a run says: its own list of environments is empty"


def test_the_latest_run_is_recorded() -> None:
    patched = patch(STEPS, active=1, last=LastRun("run-9", "Running", at(40)))

    assert {key: patched[key] for key in ("active", "lastExecution", "lastPhase", "lastRunTime")} == {
        "active": 1,
        "lastExecution": "run-9",
        "lastPhase": "Running",
        "lastRunTime": wire(40),
    }


def test_an_older_run_than_the_recorded_one_is_not_the_last() -> None:
    newer = {"lastRunTime": wire(45), "lastExecution": "run-10", "lastPhase": "Completed"}

    assert "lastExecution" not in patch(STEPS, last=LastRun("run-9", "Running", at(40)), status=newer)


def test_an_up_to_date_status_is_not_written_again() -> None:
    last = LastRun("run-9", "Completed", at(40))
    first = patch(STEPS, active=2, last=last)

    assert patch(STEPS, active=2, last=last, status=first) == {}


def test_a_new_generation_is_observed_and_keeps_the_time_of_the_last_transition() -> None:
    first = patch(STEPS)
    for said_before in first["conditions"]:
        said_before["lastTransitionTime"] = wire(7)

    second = patch(STEPS, status=first, generation=2)

    assert second["observedGeneration"] == 2
    assert {c["lastTransitionTime"] for c in second["conditions"]} == {wire(7)}
    assert {c["observedGeneration"] for c in second["conditions"]} == {2}
