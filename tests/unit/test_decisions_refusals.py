"""What the API server's refusals mean: which may pass, how long they are waited for, what a person reads."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds import errors
from nightcrawler_crds.building.refused import forbidden, in_words
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.execution import why_it_waits
from nightcrawler_operator.decisions.refusals import is_final, refusal
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Waiting
from nightcrawler_operator.snapshot import Refusal
from tests.support.plans import planned
from tests.support.snapshots import SnapshotMaker, a_new_execution, a_snapshot, at, wire

WEBHOOK: Final = (
    'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: '
    'Post "https://policy.default.svc:443/?timeout=10s": dial tcp 10.96.0.7:443: connect: refused'
)
RIGHTS: Final = (
    'jobs.batch is forbidden: User "nightcrawler-operator" cannot create resource "jobs" '
    'in API group "batch" in the namespace "default"'
)
AWAY: Final = conditions.STEP_API_UNAVAILABLE

MEANINGS: Final[dict[str, tuple[str, str, bool]]] = {
    "a quota has no room": (
        'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=2, limited: pods=2',
        conditions.STEP_QUOTA,
        False,
    ),
    "a quota has not been counted yet": (
        'pods "x" is forbidden: status unknown for quota: team, resources: pods',
        conditions.STEP_QUOTA,
        False,
    ),
    "a quota demands an amount": (
        'pods "x" is forbidden: failed quota: team: must specify limits.cpu for: step',
        conditions.STEP_FORBIDDEN,
        True,
    ),
    "the operator lacks a right": (RIGHTS, conditions.STEP_MISSING_RIGHTS, False),
    "the operator may not block deletions": (
        "cannot set blockOwnerDeletion if it refers to a resource you can't set finalizers on",
        conditions.STEP_MISSING_RIGHTS,
        False,
    ),
    "Pod security": (
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        conditions.STEP_FORBIDDEN,
        True,
    ),
    "a webhook denies": (
        'admission webhook "policy.example.com" denied the request: User "me" cannot create resource "jobs"',
        conditions.STEP_FORBIDDEN,
        True,
    ),
    "a validating policy denies": (
        "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        conditions.STEP_FORBIDDEN,
        True,
    ),
    "an API server that has just started": (
        'jobs.batch "x" is forbidden: not yet ready to handle request',
        AWAY,
        False,
    ),
    "a service account that may be on its way": (
        'pods "x" is forbidden: error looking up service account default/me: serviceaccount "me" not found',
        conditions.STEP_FORBIDDEN,
        False,
    ),
    "anything else": ("pods is forbidden: for a reason of our own", conditions.STEP_FORBIDDEN, True),
}


@pytest.mark.parametrize(("text", "reason", "final"), MEANINGS.values(), ids=MEANINGS)
def test_the_reason_for_a_403_is_read_from_its_text(text: str, reason: str, final: bool) -> None:
    assert forbidden(text) == (reason, final)


def test_a_webhook_that_does_not_answer_is_named() -> None:
    assert in_words(WEBHOOK) == (
        "the admission webhook 'policy.example.com' could not be asked: "
        'Post "https://policy.default.svc:443/?timeout=10s": dial tcp 10.96.0.7:443: connect: refused'
    )


def test_a_quota_that_demands_an_amount_says_where_to_write_it() -> None:
    text = 'pods "x" is forbidden: failed quota: team: must specify limits.cpu for: s; requests.memory for: s'

    assert in_words(text).endswith("the quota asks for it: set resources.cpuLimit and resources.memory")


def test_the_same_refusal_is_retried_with_back_off_but_at_least_twice_a_minute() -> None:
    refused: Refusal | None = None
    pauses, now = [], 0.0
    for _ in range(14):
        refused = refusal(
            errors.Unavailable("the API server did not answer in time"), "job", refused, at(now)
        )
        assert refused.ask_again is not None
        pauses.append((refused.ask_again - at(now)).total_seconds())
        now += pauses[-1]

    assert refused is not None
    assert (refused.reason, refused.since, refused.tries) == (AWAY, at(0), 14)
    assert pauses == sorted(pauses)
    assert (pauses[0] <= 0.1, 20 < pauses[-1] <= 30) == (True, True)


def test_another_reason_resets_the_back_off() -> None:
    before = Refusal("m", at(1), AWAY, at(0), tries=9)

    refused = refusal(errors.Forbidden("exceeded quota: team"), "job", before, at(50))

    assert (refused.reason, refused.since, refused.tries) == (conditions.STEP_QUOTA, at(50), 1)


def test_retry_after_is_respected() -> None:
    refused = refusal(errors.TooManyRequests("later", retry_after=7), "job", None, at(0))

    assert refused.ask_again == at(7)


GRACES: Final = {conditions.STEP_MISSING_RIGHTS: 600, conditions.STEP_FORBIDDEN: 20}


@pytest.mark.parametrize(("reason", "grace"), GRACES.items())
def test_a_fault_that_somebody_has_to_fix_is_waited_for_during_its_grace(reason: str, grace: float) -> None:
    refused = Refusal("m", at(1), reason, at(0))

    assert not is_final(refused, at(grace - 1), Limits())
    assert is_final(refused, at(grace), Limits())


@pytest.mark.parametrize("reason", [conditions.STEP_QUOTA, AWAY])
def test_quota_and_servers_are_waited_for_until_the_queue_timeout(reason: str) -> None:
    assert not is_final(Refusal("m", at(1), reason, at(0)), at(80_000), Limits())


# --- on record ---------------------------------------------------------------------------------------


def kept_out(**more: Any) -> SnapshotMaker:
    return a_snapshot("train").with_refusal("train", in_words(WEBHOOK), 60, reason=AWAY, **more)


def test_an_unresponsive_server_is_recorded_once_it_lasts() -> None:
    early, late = planned(kept_out(), 1), planned(kept_out(), 2)

    assert (early.status, early.outcome, early.first_jobs) == (None, Waiting(at(2)), ())
    assert late.status is not None
    step = late.status["steps"]["train"]
    assert (step["phase"], step["reason"], step.get("attempt"), step.get("jobName")) == (
        "Pending",
        AWAY,
        0,
        None,
    )
    assert "the admission webhook 'policy.example.com' could not be asked" in late.status["message"]


def test_the_same_reason_in_other_words_is_not_written_again() -> None:
    recorded = kept_out().recorded("train", "Pending", 0, job=False, reason=AWAY, message="as before")

    waits = {"waitingReason": AWAY, "waitingSince": wire(0)}
    assert planned(recorded.with_status(message="as before", progress="0/1", **waits), 30).status is None


def test_a_refusal_is_cleared_when_the_job_is_made() -> None:
    recorded = a_snapshot("train").recorded("train", "Pending", 0, job=False, reason=AWAY, message="m")

    plan = planned(recorded.with_status(message="m", progress="0/1"), 30)

    assert [new.step for new in plan.first_jobs] == ["train"]
    assert plan.status is not None
    assert (plan.status["message"], plan.status["steps"]["train"]["reason"]) == (None, None)


def test_rights_that_stay_missing_fail_the_step_with_the_servers_message() -> None:
    waits = a_snapshot("train").with_refusal("train", RIGHTS, 601, reason=conditions.STEP_MISSING_RIGHTS)

    early, late = planned(waits, 599), planned(waits, 600)

    assert early.status is not None
    assert early.status["steps"]["train"]["reason"] == conditions.STEP_MISSING_RIGHTS
    assert late.status is not None
    assert (late.status["phase"], late.status["steps"]["train"]["reason"]) == (
        "Failed",
        conditions.STEP_MISSING_RIGHTS,
    )
    assert "cannot create resource" in late.status["message"]


def test_a_denial_by_a_policy_fails_the_step_at_once() -> None:
    denied = a_snapshot("train").with_refusal("train", "denied", None, reason=conditions.STEP_FORBIDDEN)

    plan = planned(denied, 1)

    assert plan.status is not None
    assert plan.status["steps"]["train"]["reason"] == conditions.STEP_FORBIDDEN


def test_why_a_run_cannot_begin_is_recorded_before_it_is_accepted() -> None:
    outage = Refusal(in_words(WEBHOOK), at(60), AWAY, at(0))
    new = a_new_execution("train")

    early, late = why_it_waits(new.at(1).build(), outage), why_it_waits(new.at(2).build(), outage)

    assert early == {}
    assert (late["phase"], late["conditions"][0]["reason"]) == ("Pending", AWAY)
    assert "the admission webhook 'policy.example.com'" in late["message"]
    assert "steps" not in late


def test_an_accepted_run_that_cannot_go_on_says_so_in_its_message() -> None:
    outage = Refusal("the API server did not answer in time", at(60), AWAY, at(0))

    patch = why_it_waits(a_snapshot("train").at(2).build(), outage)

    assert patch == {
        "message": "waits, what it needs is refused: the API server did not answer in time",
        "waitingReason": AWAY,
        "waitingSince": wire(0),
    }


def test_a_run_that_may_never_begin_is_refused_without_another_try() -> None:
    never = Refusal("policy", None, conditions.STEP_FORBIDDEN, at(0))
    foreign = (
        a_new_execution("train").with_metadata(ownerReferences=[], labels={}).with_fields(obstacle=never)
    )

    plan = planned(foreign, 1)

    assert (plan.adopt, plan.first_jobs) == (False, ())
    assert plan.status is not None
    assert plan.status["phase"] == "Failed"
    assert plan.status["message"] == "cannot begin: policy"
