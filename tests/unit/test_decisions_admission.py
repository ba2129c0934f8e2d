"""Whether an execution may run: what is refused, what is waited for, what is recorded when it may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nightcrawler_crds import names
from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import LookForEnvironments, LookForRevision, LookForWorkflow, Plan, Waiting
from tests.support.plans import status_of
from tests.support.snapshots import (
    SnapshotMaker,
    a_job,
    a_new_execution,
    a_snapshot,
    a_step,
    a_workflow,
    an_environment,
    at,
    job_name,
    wire,
)


def refusal(snapshot: SnapshotMaker) -> tuple[str, str]:
    """The reason and message of Accepted=False; the run is Failed and nothing of it is made."""
    plan = decide(snapshot.build())
    status = status_of(plan)
    said = {c["type"]: c for c in status["conditions"]}
    assert (status["phase"], plan.first_jobs, plan.ended) == ("Failed", (), True)
    assert said[conditions.FINISHED]["reason"] == conditions.REFUSED
    assert said[conditions.ACCEPTED]["status"] == "False"
    assert status["message"] == said[conditions.ACCEPTED]["message"]
    return said[conditions.ACCEPTED]["reason"], said[conditions.ACCEPTED]["message"]


def test_a_run_is_accepted_placed_and_begun_in_one_plan() -> None:
    plan = decide(a_new_execution("prepare", "train").build())

    status = status_of(plan)
    said = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert said == {
        conditions.ACCEPTED: ("True", conditions.VALID),
        conditions.PLACED: ("True", conditions.THIS_CLUSTER),
    }
    assert plan.first_jobs == (NewJob("prepare", 1, job_name("prepare")),)
    assert plan.revision is not None
    assert status["revision"] == plan.revision.name
    assert status["steps"] == {
        "prepare": {"phase": "Pending", "attempt": 1, "jobName": job_name("prepare")},
    }
    assert (status["phase"], status["progress"]) == ("Pending", "0/2")


def test_a_missing_workflow_is_waited_for_and_the_wait_is_reported() -> None:
    plan = decide(a_new_execution().with_fields(workflow=None, revision=None).at(3).build())

    status = status_of(plan)
    [accepted] = status["conditions"]
    assert (accepted["status"], accepted["reason"]) == ("Unknown", conditions.WORKFLOW_MISSING)
    assert status["phase"] == "Pending"
    assert plan.outcome == Waiting(at(30))


def test_a_reported_wait_is_not_written_again() -> None:
    message = "waits for workflow 'wf', which is not in namespace default (yet)"
    said = {
        "type": conditions.ACCEPTED,
        "status": "Unknown",
        "reason": conditions.WORKFLOW_MISSING,
        "message": message,
        "lastTransitionTime": wire(3),
        "observedGeneration": 1,
    }
    waits = a_new_execution().with_status(
        phase="Pending",
        message=message,
        waitingReason=conditions.WORKFLOW_MISSING,
        waitingSince=wire(0),
        conditions=[said],
    )

    plan = decide(waits.with_fields(workflow=None, revision=None).at(9).build())

    assert plan == Plan(outcome=Waiting(at(30)))


def test_a_workflow_that_does_not_come_within_the_grace_is_not_found() -> None:
    reason, message = refusal(a_new_execution().with_fields(workflow=None, revision=None).at(30))

    assert reason == conditions.WORKFLOW_NOT_FOUND
    assert message == "there is no workflow 'wf' in namespace default; apply it and run it again"


def test_a_workflow_that_is_being_deleted_counts_as_missing() -> None:
    going = a_workflow({"steps": []}, deletionTimestamp=wire(0))

    assert refusal(a_new_execution().with_fields(workflow=going).at(31))[0] == conditions.WORKFLOW_NOT_FOUND


def test_a_workflow_that_cannot_be_read_is_refused() -> None:
    assert refusal(a_new_execution().with_fields(revision=None))[0] == conditions.WORKFLOW_NOT_ACCEPTED


def test_a_cycle_is_refused_with_its_path() -> None:
    cycle = a_new_execution(a_step("a", dependsOn=["b"]), a_step("b", dependsOn=["a"]))

    reason, message = refusal(cycle)

    assert reason == conditions.DEPENDENCY_CYCLE
    assert message == "steps wait for each other: a → b → a; remove one of these from dependsOn"


def test_a_workflow_without_steps_is_refused() -> None:
    empty = a_new_execution()
    empty.spec = empty.spec.model_copy(update={"steps": []})

    assert refusal(empty)[0] == conditions.NO_STEPS


def test_a_missing_parameter_is_refused_by_its_name() -> None:
    declared = a_new_execution(parameters=[{"name": "path", "required": True}])

    reason, message = refusal(declared)

    assert reason == conditions.MISSING_PARAMETER
    assert "'path'" in message


def test_the_workflows_own_problems_come_before_the_parameters() -> None:
    both = a_new_execution(a_step("a", dependsOn=["z"]), parameters=[{"name": "p", "required": True}])

    assert refusal(both)[0] == conditions.UNKNOWN_DEPENDENCY


def test_an_unknown_environment_is_refused() -> None:
    there = a_new_execution().with_spec(environment="prod").with_fields(environments=(an_environment("lab"),))

    assert refusal(there)[0] == conditions.UNKNOWN_ENVIRONMENT


@pytest.mark.parametrize("asked", [{"environment": "prod"}, {}], ids=["unknown", "no default"])
def test_no_run_is_refused_for_a_missing_environment_before_a_fresh_list(asked: dict[str, str]) -> None:
    there = a_new_execution().with_spec(**asked).with_fields(environments=(an_environment("lab"),))

    assert decide(there.with_fields(fresh_environments=False).build()) == Plan(
        lookups=(LookForEnvironments(),)
    )
    assert status_of(decide(there.build()))["phase"] == "Failed"


def test_a_name_means_this_cluster_only_after_a_fresh_list() -> None:
    listed = a_new_execution(environments=["lab"])
    for named in (listed, a_new_execution().with_spec(environment="lab")):
        stale = named.with_fields(environments=(), fresh_environments=False)
        assert decide(stale.build()) == Plan(lookups=(LookForEnvironments(),))
        assert len(decide(stale.with_fields(fresh_environments=True).build()).first_jobs) == 1


def test_a_run_that_has_its_environment_begins_without_a_fresh_list() -> None:
    lab = an_environment("lab", aliases=["here"])
    for asked in ("lab", "here"):
        named = a_new_execution().with_spec(environment=asked).with_fields(environments=(lab,))
        assert len(decide(named.with_fields(fresh_environments=False).build()).first_jobs) == 1


def test_a_run_that_names_no_environment_begins_without_a_fresh_list() -> None:
    default = an_environment("lab", default=True)
    for there in ((), (default,)):
        begun = decide(a_new_execution().with_fields(environments=there, fresh_environments=False).build())
        assert len(begun.first_jobs) == 1


def test_the_workflow_is_read_again_before_the_environments() -> None:
    stale = a_new_execution().with_spec(environment="prod").with_fields(fresh=False, fresh_environments=False)

    assert decide(stale.build()) == Plan(lookups=(LookForWorkflow(),))


def test_no_run_waits_for_its_workflow_before_that_was_looked_for() -> None:
    missing = a_new_execution().with_fields(workflow=None, revision=None)

    assert decide(missing.with_fields(fresh=False).build()) == Plan(lookups=(LookForWorkflow(),))
    assert decide(missing.build()).lookups == ()


def test_a_chosen_environment_is_recorded_and_its_nodes_are_used() -> None:
    lab = an_environment("lab", default=True, nodeSelector={"pool": "lab"})

    plan = decide(a_new_execution().with_fields(environments=(lab,)).build())

    assert plan.run is not None
    assert status_of(plan)["environment"] == "lab"
    assert plan.run.environment.node_selector == {"pool": "lab"}


def test_a_run_created_by_kubectl_is_adopted_and_labelled() -> None:
    assert decide(a_new_execution().with_metadata(ownerReferences=[]).build()).adopt
    assert decide(a_new_execution().with_metadata(labels={}).build()).adopt
    assert not decide(a_new_execution().build()).adopt


def test_a_run_that_is_cancelled_before_it_began_is_cancelled_at_once() -> None:
    plan = decide(a_new_execution().cancelled().build())

    status = status_of(plan)
    assert (status["phase"], status["message"]) == ("Cancelled", "cancelled before it began")
    assert plan.first_jobs == ()


def test_a_run_whose_workflow_is_missing_can_be_cancelled() -> None:
    plan = decide(a_new_execution().with_fields(workflow=None, revision=None).cancelled().build())

    assert status_of(plan)["phase"] == "Cancelled"


def test_a_run_that_has_ended_is_left_alone() -> None:
    for phase in ("Completed", "Failed", "Cancelled"):
        assert decide(a_snapshot().with_status(phase=phase).cancelled().build()) == Plan()


def test_a_run_that_is_being_deleted_is_left_alone() -> None:
    assert decide(a_snapshot().with_metadata(deletionTimestamp=wire(0)).build()) == Plan()
    assert decide(a_new_execution().with_metadata(deletionTimestamp=wire(0)).build()) == Plan()


def test_a_job_made_before_a_crash_decides_the_revision() -> None:
    made = a_new_execution("a", "b").with_job(a_job("a"))

    unknown = decide(made.with_fields(named_revision="wf-rev", revision=None).build())

    assert unknown == Plan(lookups=(LookForRevision("wf-rev"),))


def test_a_job_made_before_a_crash_is_recorded_and_not_made_again() -> None:
    plan = decide(a_new_execution("a", "b").with_job(a_job("a")).at(1).build())

    assert plan.first_jobs == ()
    assert status_of(plan)["steps"] == {"a": {"phase": "Pending", "attempt": 1, "jobName": job_name("a")}}


def test_a_cancel_after_the_first_job_and_before_its_record_ends_the_job() -> None:
    plan = decide(a_new_execution("a").with_job(a_job("a")).cancelled().build())

    assert [old.name for old in plan.delete_jobs] == [job_name("a")]
    assert status_of(plan)["phase"] == "Cancelling"


def test_a_revision_that_is_not_known_is_looked_for_before_anything_else() -> None:
    assert decide(a_snapshot().with_fields(revision=None).build()) == Plan(
        lookups=(LookForRevision("wf-rev"),)
    )


def test_a_revision_that_is_gone_fails_the_run_and_says_so() -> None:
    reason, message = refusal(a_snapshot().with_fields(revision=None, absent={"wf-rev"}))

    assert reason == conditions.REVISION_LOST
    assert "'wf-rev'" in message


def test_the_wait_for_a_workflow_is_as_long_as_the_installation_says() -> None:
    impatient = a_new_execution().with_limits(workflow_grace=2).with_fields(workflow=None, revision=None)

    assert decide(impatient.at(1).build()).outcome == Waiting(at(0) + timedelta(seconds=2))
    assert refusal(impatient.at(2))[0] == conditions.WORKFLOW_NOT_FOUND


CLOSED: Any = an_environment("closed", default=True, state="Cordoned")


def test_a_run_waits_for_a_cordoned_environment_and_says_so() -> None:
    execution = a_new_execution().with_fields(environments=(CLOSED,))
    plan = decide(execution.at(5).build())
    status = status_of(plan)
    assert status["phase"] == "Pending"
    assert status["message"] == "waits for its environment to be opened (closed: it is cordoned)"
    (accepted,) = status["conditions"]
    assert (accepted["status"], accepted["reason"]) == ("Unknown", conditions.CORDONED)
    assert plan.outcome == Waiting(at(24 * 3600))
    reason, message = refusal(execution.at(24 * 3600))
    assert reason == conditions.CORDONED
    assert message.startswith("waited longer than the queue timeout of 86400 s: it waits for its environment")


def test_a_run_is_placed_when_the_maintenance_is_over() -> None:
    window = {"start": wire(0), "end": wire(60)}
    execution = a_new_execution().with_fields(
        environments=(an_environment("lab", default=True, maintenance=[window]),)
    )
    assert decide(execution.at(5).build()).outcome == Waiting(at(60))
    assert status_of(decide(execution.at(60).build()))["environment"] == "lab"


def test_a_bad_template_of_the_environment_is_distinguished_from_one_of_the_workflow() -> None:
    bad = an_environment("lab", default=True, podTemplate={"spec": {"tolerationz": []}})
    reason, message = refusal(a_new_execution().with_fields(environments=(bad,)))
    assert reason == conditions.INVALID_POD_TEMPLATE
    assert message.startswith("the environment 'lab' has a bad podTemplate.spec.tolerationz")
    powerful = an_environment("lab", default=True, podTemplate={"spec": {"hostNetwork": True}})
    assert decide(a_new_execution().with_fields(environments=(powerful,)).build()).first_jobs


def test_later_steps_wait_while_the_environment_is_cordoned_and_say_so() -> None:
    begun = (
        a_snapshot("one", "two")
        .with_status(
            environment="lab",
            conditions=[
                {"type": "Accepted", "status": "True", "reason": "Valid"},
                {"type": "Placed", "status": "True", "reason": "EnvironmentChosen"},
            ],
        )
        .recorded("one", "Completed", completionTime=wire(3))
    )
    window = {"start": wire(0), "end": wire(60), "description": "upgrade"}
    closed = begun.with_fields(environments=(an_environment("lab", maintenance=[window]),)).at(5)
    plan = decide(closed.build())
    assert not plan.first_jobs
    step = status_of(plan)["steps"]["two"]
    assert step["reason"] == conditions.STEP_CORDONED
    assert step["message"] == (
        f"step 'two' waits for the environment 'lab': it is under maintenance until {wire(60)} (upgrade)"
    )
    assert plan.outcome == Waiting(at(60))
    assert decide(closed.at(60).build()).first_jobs


def test_a_run_that_another_workflow_owns_is_waited_for_and_then_refused() -> None:
    before = a_new_execution()
    owner = {"apiVersion": names.API_VERSION, "kind": "Workflow", "name": "wf", "uid": "of-another"}
    before.meta = {**before.meta, "ownerReferences": [owner]}

    waiting = decide(before.at(3).build())
    assert waiting.outcome == Waiting(at(30))
    assert not waiting.adopt
    reason, message = refusal(before.at(31))
    assert reason == conditions.WORKFLOW_NOT_FOUND
    assert "was deleted; one of that name is another workflow" in message
    assert not decide(before.at(31).build()).adopt


def test_a_revision_that_the_run_names_is_looked_for_and_must_be_of_its_workflow() -> None:
    asking = a_new_execution("a").with_spec(revision="wf-old")
    revision = asking.build().revision
    assert revision is not None

    assert decide(asking.with_fields(revision=None).build()) == Plan(lookups=(LookForRevision("wf-old"),))
    for there in (None, replace(revision, owner="another workflow's uid")):
        reason, message = refusal(asking.with_fields(revision=there, absent=set() if there else {"wf-old"}))
        assert reason == conditions.REVISION_NOT_FOUND
        assert "'wf-old'" in message


def test_a_run_that_repeats_another_waits_a_moment_for_its_revision() -> None:
    """The facade brings it back from the archive, if it was deleted when the run was created."""
    trigger = {"type": "Rerun", "rerunOf": "earlier"}
    asking = a_new_execution("a").with_spec(revision="wf-old", trigger=trigger)
    gone = asking.with_fields(revision=None, absent={"wf-old"})
    first, last = (
        gone.with_fields(looked_up={"wf-old": at(3)}),
        gone.with_fields(looked_up={"wf-old": at(10)}),
    )

    waiting = decide(first.at(3).build())
    assert waiting.outcome == Waiting(at(4))
    assert waiting.status is not None
    (accepted,) = [one for one in waiting.status["conditions"] if one["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("Unknown", conditions.REVISION_MISSING)
    assert decide(first.at(4).build()) == Plan(lookups=(LookForRevision("wf-old"),))
    assert refusal(last.at(10))[0] == conditions.REVISION_NOT_FOUND


def test_a_revision_that_the_run_names_is_not_written_again() -> None:
    asking = a_new_execution("a").with_spec(revision="wf-old")

    plan = decide(asking.build())

    assert plan.revision is None
    assert [new.step for new in plan.first_jobs] == ["a"]
    assert decide(a_new_execution("a").build()).revision is not None
