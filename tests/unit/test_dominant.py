"""Why a run waits, in one word and one sentence, and since when."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.words.quantities import parse_quantity
from nightcrawler_operator.decisions.dominant import dominant
from nightcrawler_operator.decisions.schedulerwords import shortened
from nightcrawler_operator.plan import Plan
from tests.support.plans import planned, status_of
from tests.support.snapshots import (
    NODE,
    PodMaker,
    SnapshotMaker,
    a_job,
    a_pod,
    a_snapshot,
    a_step,
    an_environment,
    at,
    wire,
)

Json = dict[str, Any]
WAITS: Final = "step 'train' waits for"
MORE: Final = (
    "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for "
    "scheduling."
)
NO_ROOM: Final = "0/4 nodes are available: 3 Insufficient cpu, 1 node(s) were unschedulable."


def unschedulable(step: str) -> PodMaker:
    return a_pod(step).condition("PodScheduled", "False", 0, "Unschedulable", NO_ROOM)


def waits(plan: Plan) -> tuple[Any, Any]:
    status = status_of(plan)
    return status.get("waitingReason"), status.get("waitingSince")


def waiting(**reasons: str) -> SnapshotMaker:
    """A run whose steps are recorded to wait for these reasons."""
    made = a_snapshot(*reasons, order="Graph")
    for step, reason in reasons.items():
        made = made.recorded(step, "Pending", reason=reason, message=f"step {step} waits")
    return made


@pytest.mark.parametrize(
    ("reasons", "step"),
    [
        ({"a": "Starting", "b": "Unschedulable"}, "b"),
        ({"a": "Unschedulable", "b": "NoSuchGPU"}, "b"),
        ({"a": "NoSuchGPU", "b": "Unschedulable"}, "a"),
        ({"a": "ExceededQuota", "b": "ImagePull", "c": "Cordoned"}, "b"),
        ({"a": "NoNodeLargeEnough", "b": "ImagePull"}, "a"),
        ({"a": "Unschedulable", "b": "WaitingForVolume"}, "b"),
        ({"a": "Unschedulable", "b": "Unschedulable"}, "a"),
    ],
)
def test_what_somebody_has_to_do_something_about_goes_before_what_passes(
    reasons: dict[str, str], step: str
) -> None:
    assert dominant(waiting(**reasons).build().execution.status.steps) == step


def test_steps_that_ended_or_run_well_do_not_wait() -> None:
    made = a_snapshot("a", "b", "c", order="Graph")
    made = made.recorded("a", "Failed", reason="Unschedulable").recorded("b", "Running")
    made = made.recorded("c", "Retrying", reason=conditions.STEP_ERROR, message="failed")

    assert dominant(made.build().execution.status.steps) is None
    assert dominant({"a": None}) is None


def test_the_reason_and_its_sentence_are_recorded_with_the_steps_in_one_write() -> None:
    plan = planned(a_snapshot("train").with_pod(unschedulable("train")), 60)

    assert waits(plan) == (conditions.STEP_UNSCHEDULABLE, wire(0))
    assert status_of(plan)["message"] == status_of(plan)["steps"]["train"]["message"]


def test_a_run_that_waits_for_one_thing_after_the_other_has_waited_since_the_first() -> None:
    earlier = {"waitingReason": conditions.STEP_NO_SUCH_GPU, "waitingSince": wire(-500)}
    later = a_snapshot("train").with_status(**earlier).with_pod(unschedulable("train"))
    plan = planned(later, 60)

    assert waits(plan)[0] == conditions.STEP_UNSCHEDULABLE
    assert "waitingSince" not in status_of(plan)


def test_a_step_that_waits_without_a_job_waits_since_it_could_have_had_one() -> None:
    gpu = a_step("train", resources={"gpu": "1x NVIDIA H100"})
    made = a_snapshot("load", gpu).recorded("load", "Completed", completionTime=wire(40), startTime=wire(1))

    assert waits(planned(made, 60)) == (conditions.STEP_NO_SUCH_GPU, wire(40))


def test_when_a_step_starts_nothing_waits_any_more() -> None:
    recorded = {"waitingReason": conditions.STEP_UNSCHEDULABLE, "waitingSince": wire(0), "message": "m"}
    made = waiting(train=conditions.STEP_UNSCHEDULABLE).with_status(**recorded)
    plan = planned(made.with_pod(a_pod("train").running(since=50)), 60)

    assert waits(plan) == (None, None)
    assert {"waitingReason", "waitingSince"} <= status_of(plan).keys()


@pytest.mark.parametrize("ends", ["cancelled", "failed"])
def test_what_has_ended_or_is_cancelled_does_not_wait(ends: str) -> None:
    recorded = {"waitingReason": conditions.STEP_UNSCHEDULABLE, "waitingSince": wire(0)}
    made = waiting(train=conditions.STEP_UNSCHEDULABLE).with_status(**recorded)
    made = made.with_pod(unschedulable("train")) if ends == "cancelled" else made.with_job(a_job("train"))
    plan = planned(made.cancelled() if ends == "cancelled" else made, 24 * 3600)

    assert waits(plan) == (None, None)
    assert {"waitingReason", "waitingSince"} <= status_of(plan).keys()


def rooms(*cores: str) -> Nodes:
    there = [{"cpu": parse_quantity(core), "memory": 64e9} for core in cores]
    made = tuple(NodeRoom(f"node-{number}", {}, amounts) for number, amounts in enumerate(there, 1))
    return Nodes(ready=frozenset({NODE}), rooms=made)


@pytest.mark.parametrize(
    ("nodes", "reason", "message"),
    [
        pytest.param(
            rooms("8", "16"),
            conditions.STEP_NO_NODE_LARGE_ENOUGH,
            f"{WAITS} a larger node: it asks for 32 CPU, and the largest node, node-2, has 16 CPU",
            id="none is large enough",
        ),
        pytest.param(
            rooms("64"),
            conditions.STEP_UNSCHEDULABLE,
            "step 'train' waits for a node: none of 4 will do (3 Insufficient cpu, 1 node(s) were "
            "unschedulable)",
            id="one is large enough, and taken",
        ),
        pytest.param(
            rooms(),
            conditions.STEP_UNSCHEDULABLE,
            "step 'train' waits for a node: none of 4 will do (3 Insufficient cpu, 1 node(s) were "
            "unschedulable)",
            id="no node is known",
        ),
    ],
)
def test_a_step_that_fits_no_node_says_so_and_not_only_that_there_is_no_room(
    nodes: Nodes, reason: str, message: str
) -> None:
    step = a_step("train", resources={"cpu": 32})
    lab = an_environment("lab")
    made = a_snapshot(step).with_pod(unschedulable("train")).with_fields(nodes=nodes, environments=(lab,))
    plan = planned(made.with_status(environment="lab"), 60)

    status = status_of(plan)
    assert (status["waitingReason"], status["message"]) == (reason, message)


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (
            f"0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. {MORE}",
            "none of 3 will do (1 node(s) had untolerated taint(s), 2 Insufficient cpu)",
        ),
        (
            "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No more.",
            "the only node will not do (1 Insufficient memory)",
        ),
        ("0/0 nodes are available: no nodes", "there are no nodes (no nodes)"),
        (
            'persistentvolumeclaim "data" not found',
            'persistentvolumeclaim "data" not found',
        ),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
        ("", ""),
    ],
)
def test_the_schedulers_words_are_shortened(message: str, short: str) -> None:
    assert shortened(message) == short


def test_times_of_waits_are_those_of_the_run_and_its_jobs() -> None:
    late = a_snapshot("train").with_pod(unschedulable("train"), job=a_job("train", created=30))
    assert waits(planned(late, 60)) == (conditions.STEP_UNSCHEDULABLE, wire(30))
    assert late.at(60).build().now == at(60)
